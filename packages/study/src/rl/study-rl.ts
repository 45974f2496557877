import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, sha256 } from '@dmoerm/bundle';
import { proxiesOf, type Proxy } from '../bon/design';
import { trainProxy, type ProxyOptions } from '../bon/proxies';
import { labelled, pick, prepare, type StudyOptions } from '../material';
import { RL_ARMS, type RlArm, type RlSize } from './design';
import { rlFigures, type RlFigures, type RlRuns } from './figures';
import { joinJudges, openJudge, type Judge } from './judge';
import { learnRun } from './learn-run';

/** Everything that the study found. */
export interface RlReport {
  readonly size: RlSize;
  readonly data: string;
  readonly prompts: number;
  readonly arms: readonly RlFigures[];
}

/**
 * GRPO (arXiv 2402.03300) against proxies of a known gold reward, with and without a KL penalty: the policy of `studyBon` learns all its
 * parameters from each proxy's rewards; gold is measured on test prompts on the way. Proxies that `studyBon` has trained in the same work
 * folder are used as they are.
 * @throws DmoermError as `prepare`.
 */
export async function studyRl(options: StudyOptions, size: RlSize): Promise<RlReport> {
  const { onStage, onProgress, threads } = options;
  const material = await prepare(options);
  const proxies = await labelled(material, size.noise, options);
  // Runs of another size are others; more seeds and penalties are more of the same.
  const { seeds: _, betas: __, ...same } = size;
  const folder = join(material.work, `rl-${sha256(canonicalJson(same)).slice(0, 8)}`);
  mkdirSync(folder, { recursive: true });
  const arms: RlRuns[] = [];
  for (const beta of size.betas)
    for (const arm of RL_ARMS) {
      const runs = [];
      for (const seed of size.seeds) {
        const label = `${arm.name}, beta ${beta}, seed ${seed}`;
        onStage?.(label);
        runs.push(
          await learnRun(() => openArm(arm, seed, options, proxies), {
            material,
            size,
            newTokens: options.size.newTokens,
            beta,
            seed,
            threads,
            file: join(folder, `${arm.name}-${beta}-${seed}.json`),
            onProgress: (step, steps) => onProgress?.(label, step, steps),
          }),
        );
      }
      arms.push({ arm: arm.name, beta, runs });
    }
  const strata = pick(material, material.prompts, 'test').map(({ task }) => task);
  return {
    size,
    data: material.data,
    prompts: strata.length,
    arms: rlFigures(arms, strata, options.size.draws),
  };
}

async function openArm(
  { proxies, rule, join: joined }: RlArm,
  seed: number,
  { size }: StudyOptions,
  options: ProxyOptions,
): Promise<Judge> {
  const all = proxiesOf(size);
  const members = all.filter(({ name }) => /^single-\d+$/.test(name));
  const named = (name: string): Proxy[] => all.filter((one) => one.name === name);
  const chosen =
    proxies === 'ensemble'
      ? members
      : proxies === 'single'
        ? members.slice((seed - 1) % members.length, ((seed - 1) % members.length) + 1)
        : named(proxies);
  const judges: Judge[] = [];
  for (const proxy of chosen) judges.push(await openJudge(await trainProxy(proxy, options), proxy, rule));
  if (joined !== null) return joinJudges(judges, joined);
  const [judge] = judges;
  if (judge === undefined) throw new Error(`no proxy ${proxies}`);
  return judge;
}
