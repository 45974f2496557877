import { examine } from './faults/figure';
import { FIGURES } from './faults/figures';

jest.setTimeout(120_000);

it.each(FIGURES.map((figure) => [figure.id, figure.title, figure] as const))(
  '%s %s',
  async (_, __, figure) => {
    expect(await examine(figure, 'quick')).toMatchObject({ holds: true, control_failed_as_it_must: true });
  },
);
