import { createRandom } from '@dmoerm/core';
import { softplus } from '@dmoerm/evaluation';
import { chooseHead, fitPairHead, headScore, standardiser, type EmbeddedPair, type ValueHead } from '../head';
import { mlpReward, trainMlp, type Mlp, type MlpOptions, type ScaledPair } from './mlp';

/** M heads on bootstrapped pairs: their mean is the reward, their spread its uncertainty. */
export interface Aggregator {
  readonly mean: Float64Array;
  readonly std: Float64Array;
  readonly heads: readonly Mlp[];
  readonly hidden: number;
}

/** How to train. */
export interface AggregatorOptions extends MlpOptions {
  /** MLPs, each on a bootstrap of the pairs. */
  readonly heads: number;
  readonly seed: number;
}

/**
 * Trains the heads on pairwise loss softplus(-(r_chosen - r_rejected)), AdamW, each on a bootstrap of the pairs; each keeps its state
 * at the epoch with the smallest validation loss. Each begins as the best linear reward of scores or embeddings: what the
 * rest of the MLP adds is found by small steps, and is kept only if validation gains.
 * @param experts the K experts' heads; u is their embeddings, [K * d].
 */
export function trainAggregator(
  train: readonly EmbeddedPair[],
  valid: readonly EmbeddedPair[],
  experts: readonly ValueHead[],
  options: AggregatorOptions,
): Aggregator {
  const { mean, std } = standardiser(train.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  const scaled = (pair: EmbeddedPair): ScaledPair => [
    scale(pair.chosen, mean, std),
    scale(pair.rejected, mean, std),
  ];
  const trainRows = train.map(scaled);
  const validRows = valid.map(scaled);
  const startOf = linearStart(train, valid, experts);
  const heads = Array.from({ length: options.heads }, (_, h) => {
    const random = createRandom(options.seed * 1000 + h);
    const sample = Array.from(train, () => Math.floor(random() * train.length));
    const own = sample.map((i) => trainRows[i] as ScaledPair);
    const start = startOf(sample.map((i) => train[i] as EmbeddedPair)).map((w, i) => w * (std[i] ?? 1));
    return trainMlp(own, validRows, start, random, options);
  });
  return { mean, std, heads, hidden: options.hidden };
}

function scale(u: Float32Array, mean: Float64Array, std: Float64Array): Float64Array {
  return mean.map((m, i) => ((u[i] ?? 0) - m) / (std[i] ?? 1));
}

/**
 * The linear reward to begin with, weights [K * d] for a sample of the pairs: logistic regression on the experts' scores or on
 * their embeddings, whichever has the smaller loss on validation.
 */
function linearStart(
  train: readonly EmbeddedPair[],
  valid: readonly EmbeddedPair[],
  experts: readonly ValueHead[],
): (sample: readonly EmbeddedPair[]) => Float64Array {
  const toScores = ({ chosen, rejected }: EmbeddedPair): EmbeddedPair => ({
    chosen: scoresOf(experts, chosen),
    rejected: scoresOf(experts, rejected),
  });
  const best = (own: readonly EmbeddedPair[], judged: readonly EmbeddedPair[]) =>
    chooseHead(
      (ridge) => fitPairHead(own, ridge),
      (head) =>
        judged.reduce(
          (sum, { chosen, rejected }) => sum + softplus(headScore(head, rejected) - headScore(head, chosen)),
          0,
        ),
    );
  const scores = best(train.map(toScores), valid.map(toScores));
  const embeddings = best(train, valid);
  if (embeddings.loss < scores.loss)
    return (sample) => Float64Array.from(fitPairHead(sample, embeddings.ridge).weight);
  return (sample) => {
    const { weight } = fitPairHead(sample.map(toScores), scores.ridge);
    return Float64Array.from(experts.flatMap((head, k) => [...head.weight].map((w) => w * (weight[k] ?? 0))));
  };
}

/** [K] */
function scoresOf(experts: readonly ValueHead[], u: Float32Array): Float32Array {
  const d = u.length / experts.length;
  return Float32Array.from(experts, (head, k) => headScore(head, u.subarray(k * d, (k + 1) * d)));
}

/** The heads' mean on one candidate's embeddings [K * d]. */
export function aggregate(aggregator: Aggregator, u: Float32Array): number {
  const rewards = headRewards(aggregator, u);
  return rewards.reduce((sum, one) => sum + one, 0) / rewards.length;
}

/** What each of the M heads says of one candidate's embeddings [K * d]. */
export function headRewards({ mean, std, heads }: Aggregator, u: Float32Array): number[] {
  const scaled = scale(u, mean, std);
  return heads.map((head) => mlpReward(head, scaled));
}
