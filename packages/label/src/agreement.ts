import { groupBy } from '@dmoerm/core';
import { opposite, type Preference } from './comparison';
import type { Judged } from './judged';
import { addTables, clusterInterval, cohenKappa, rawAgreement, type Confusion } from './statistics';

/** How far two raters agree. */
export interface Kappa {
  /** Judgements compared. */
  readonly count: number;
  readonly prompts: number;
  /** Share of equal judgements. */
  readonly raw: number | null;
  readonly kappa: number | null;
  /** 95 % interval of kappa, by bootstrap over prompts. */
  readonly low: number | null;
  readonly high: number | null;
}

/** Agreement of a group's labels with people. */
export interface Agreement {
  /** Comparisons whose label names a winner. */
  readonly kept: Kappa;
  /** All of them; a comparison without a label abstains and so agrees with nobody. */
  readonly all: Kappa;
  /** People with each other, where a comparison has several human labels; null where none has. */
  readonly humans: Kappa | null;
}

const HUMAN: readonly Preference[] = ['first', 'second', 'tie'];
const LABELLER = [...HUMAN, 'abstain'] as const;

/** Agreement of labels with the human labels of the same comparisons; null if there are none. */
export function measureAgreement(judged: readonly Judged[]): Agreement | null {
  const answered = judged.filter(
    ({ label, comparison }) => label.type !== 'open' && comparison.humans.length > 0,
  );
  if (answered.length === 0) return null;
  const kept = answered.filter(({ label }) => label.type === 'kept');
  const several = answered.filter(({ comparison }) => comparison.humans.length > 1);
  return {
    kept: kappaOf(kept, labelTable),
    all: kappaOf(answered, labelTable),
    humans: several.length === 0 ? null : kappaOf(several, humanTable),
  };
}

function kappaOf(judged: readonly Judged[], tableOf: (one: Judged) => Confusion): Kappa {
  const prompts = groupBy(judged, ({ comparison }) => `${comparison.source}/${comparison.promptId}`);
  const clusters = [...prompts.values()].map((own) => addTables(own.map(tableOf)));
  const table = addTables(clusters);
  const interval = clusterInterval(clusters, cohenKappa);
  return {
    count: table.flat().reduce((a, b) => a + b, 0),
    prompts: clusters.length,
    raw: rawAgreement(table),
    kappa: cohenKappa(table),
    low: interval?.low ?? null,
    high: interval?.high ?? null,
  };
}

/**
 * Square, with a row for abstaining that people never fill: kappa then knows how often the labeller abstains. A comparison counts
 * half in each order of its responses, because which of them is called the first means nothing.
 */
function labelTable({ comparison, label }: Judged): Confusion {
  const said = label.type === 'kept' ? label.winner : label.type === 'tie' ? 'tie' : 'abstain';
  const turned = said === 'abstain' ? said : opposite(said);
  const count = (human: (typeof LABELLER)[number]): number =>
    comparison.humans.filter((one) => one === human).length / 2;
  const other = (human: (typeof LABELLER)[number]): (typeof LABELLER)[number] =>
    human === 'abstain' ? human : opposite(human);
  return LABELLER.map((human) =>
    LABELLER.map(
      (labeller) => (labeller === said ? count(human) : 0) + (labeller === turned ? count(other(human)) : 0),
    ),
  );
}

/** The first two people of a comparison, in both roles and both orders of the responses: neither means anything. */
function humanTable({ comparison }: Judged): Confusion {
  const [a = 'tie', b = 'tie'] = comparison.humans;
  const seen = [
    [a, b],
    [b, a],
    [opposite(a), opposite(b)],
    [opposite(b), opposite(a)],
  ];
  return HUMAN.map((one) =>
    HUMAN.map((other) => seen.filter(([x, y]) => x === one && y === other).length / seen.length),
  );
}
