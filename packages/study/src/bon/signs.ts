import { midRanks, spearman } from '@dmoerm/evaluation';
import { wordsOf } from '../gold/attributes';
import { resample, type Interval } from '../statistics/resample';
import type { Scores } from './arms';
import { curveOf, meanOf, sizesOf, type BonEvidence } from './figures';
import type { ProxyScores } from './proxies';

/** What serving can see of over-optimisation, and whether it tells anything of it. */
export interface Signs {
  readonly noise: number;
  /** Of the response chosen by the mixture's reward, by n: what metrics would show. */
  readonly curve: readonly {
    readonly n: number;
    readonly gold: number;
    /** Mean standardised score of the experts: inflation. */
    readonly inflation: number;
    /** Standard deviation over the experts. */
    readonly spread: number;
    readonly words: number;
  }[];
  /** Rank correlation within a prompt, mean over prompts, of a sign with how much the reward overrates a response. */
  readonly overrating: {
    readonly spread: Interval;
    readonly inflation: Interval;
    readonly words: Interval;
  };
}

/** Signs of a mixture whose `scores` these are. */
export function signsOf(
  scores: ProxyScores,
  responses: readonly (readonly string[])[],
  evidence: BonEvidence,
): Signs {
  const reward = scores['reward'] ?? [];
  const spread = scores['spread'] ?? [];
  const inflation = scores['mean_of_scores'] ?? [];
  const words = responses.map((row) => row.map((text) => wordsOf(text).length));
  const sizes = sizesOf(evidence.gold[0]?.length ?? 1);
  const chosen = (values: Scores): number[] => meanOf(curveOf({ seeds: [reward] }, values, evidence, sizes));
  const [gold, inflated, apart, long] = [evidence.gold, inflation, spread, words].map(chosen);
  // How far the reward puts a response above where gold puts it, both by rank among the prompt's responses.
  const over = reward.map((row, p) => {
    const [own, true_] = [midRanks(row), midRanks(evidence.gold[p] ?? [])];
    return own.map((rank, n) => rank - (true_[n] ?? NaN));
  });
  const rows = over.map((row, p) =>
    [spread, inflation, words].map((sign) => spearman(row, sign[p] ?? []) ?? 0),
  );
  const overrating = resample(
    rows,
    evidence.strata,
    ([a = NaN, b = NaN, c = NaN]) => ({ spread: a, inflation: b, words: c }),
    { draws: evidence.draws, seed: 1 },
  );
  return {
    noise: evidence.noise,
    curve: sizes.map((n, i) => ({
      n,
      gold: gold?.[i] ?? NaN,
      inflation: inflated?.[i] ?? NaN,
      spread: apart?.[i] ?? NaN,
      words: long?.[i] ?? NaN,
    })),
    overrating,
  };
}
