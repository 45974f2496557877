import { CHOSEN, type DashboardSpec, type PanelSpec } from './spec';

const UNIT = `${CHOSEN},unit=~"$unit"`;

function curve(
  title: string,
  description: string,
  unit: string,
  expr: string,
  kind: PanelSpec['kind'] = 'lines',
): PanelSpec {
  return { title, description, kind, unit, width: 8, queries: [{ expr, legend: '{{unit}}' }] };
}

/** Experts while they learn: `dmoerm train --metrics-listen`, or the chart's Job. */
export const TRAINING: DashboardSpec = {
  uid: 'dmoerm-training',
  title: 'dmoerm / Training',
  description:
    'Experts while they learn: `dmoerm train --metrics-listen HOST:PORT`, or the training Job of the chart.',
  choices: [{ label: 'unit', metric: 'dmoerm_training_progress_ratio' }],
  rows: [
    {
      title: 'Progress',
      panels: [
        curve(
          'Done',
          'Share of the epochs; a unit that stops early jumps to 1.',
          'percentunit',
          `dmoerm_training_progress_ratio{${UNIT}}`,
        ),
        curve(
          'Left',
          'Time to the end of the last epoch at the pace so far; stopping early is sooner.',
          's',
          `dmoerm_training_remaining_seconds{${UNIT}}`,
        ),
        curve(
          'Pairs a second',
          'What is learned from; of a language model, sequences.',
          'cps',
          `rate(dmoerm_training_examples_total{${UNIT}}[$__rate_interval])`,
        ),
      ],
    },
    {
      title: 'Learning',
      panels: [
        curve(
          'Validation accuracy',
          'Share of the pairs that are decided as their label says; 0.5 is chance.',
          'percentunit',
          `dmoerm_training_validation_accuracy{${UNIT}}`,
        ),
        curve(
          'Validation loss',
          'ln 2 = 0.69 is chance.',
          'short',
          `dmoerm_training_validation_loss{${UNIT}}`,
        ),
        curve(
          'Loss',
          'Of the last step, smoothed over five minutes; far below that of validation: it learns by heart.',
          'short',
          `avg_over_time(dmoerm_training_loss{${UNIT}}[5m])`,
        ),
      ],
    },
    {
      title: 'Steps',
      panels: [
        curve('Step', 'Over restarts.', 'short', `dmoerm_training_step{${UNIT}}`),
        curve('Learning rate', 'Warm-up, then a cosine.', 'sci', `dmoerm_training_learning_rate{${UNIT}}`),
        curve(
          'Gradient norm',
          'Before clipping; one that grows for many steps announces a divergence.',
          'short',
          `dmoerm_training_gradient_norm{${UNIT}}`,
        ),
      ],
    },
  ],
};
