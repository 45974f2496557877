import { registry } from '@dmoerm/telemetry';
import { DONE, Pace, showMetric, showProgress } from './gauges';

describe('the pace of a training', () => {
  it('counts what this process did alone', () => {
    let now = 100;
    const pace = new Pace(1000, () => now);
    pace.begin(400);
    expect(pace.at(400)).toEqual({ ratio: 0.4, remainingS: NaN });
    now = 110;
    pace.begin(450);
    expect(pace.at(500)).toEqual({ ratio: 0.5, remainingS: 50 });
    now = 160;
    expect(pace.at(1000)).toEqual(DONE);
  });
});

describe('the Prometheus page of a training', () => {
  it('shows the last step, the last evaluation and what is left, by unit', async () => {
    const unit = 'chat/logic';
    const step = { type: 'step', unit, epoch: 0, gradient_norm: 2, rows_per_second: 8 } as const;
    showMetric({ ...step, step: 1, loss: 0.7, learning_rate: 0.1, examples: 16 });
    showMetric({ ...step, step: 2, loss: 0.5, learning_rate: 0.2, examples: 8 });
    showMetric({ type: 'valid', unit, step: 2, epoch: 0, loss: 0.6, accuracy: 0.75 });
    showMetric({ type: 'valid', unit: 'language_model', step: 2, epoch: 0, loss: 3, accuracy: NaN });
    showProgress(unit, { ratio: 0.5, remainingS: 60 });
    const page = await registry.metrics();
    for (const line of [
      'dmoerm_training_step{unit="chat/logic"} 2',
      'dmoerm_training_examples_total{unit="chat/logic"} 24',
      'dmoerm_training_loss{unit="chat/logic"} 0.5',
      'dmoerm_training_learning_rate{unit="chat/logic"} 0.2',
      'dmoerm_training_validation_accuracy{unit="chat/logic"} 0.75',
      'dmoerm_training_validation_loss{unit="language_model"} 3',
      'dmoerm_training_progress_ratio{unit="chat/logic"} 0.5',
      'dmoerm_training_remaining_seconds{unit="chat/logic"} 60',
    ])
      expect(page.split('\n')).toContain(line);
    expect(page).not.toContain('dmoerm_training_validation_accuracy{unit="language_model"}');
  });
});
