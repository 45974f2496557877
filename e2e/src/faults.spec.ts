import { examine } from './faults/figure';
import { FIGURES } from './faults/figures';

jest.setTimeout(180_000);
// Figures hold times against each other; on a machine whose cores go away for a second, a second look tells more than a wider bound.
jest.retryTimes(2, { logErrorsBeforeRetry: true });

it.each(FIGURES.map((figure) => [figure.id, figure.title, figure] as const))(
  '%s %s',
  async (_, __, figure) => {
    expect(await examine(figure, 'quick')).toMatchObject({ holds: true, control_failed_as_it_must: true });
  },
);
