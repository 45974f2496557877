import { createRandom, shuffle } from '@dmoerm/core';
import { labelled, pick, prepare, type StudyOptions } from '../material';
import { armsOf } from './arms';
import { proxiesOf } from './design';
import { figuresOf, type BonEvidence, type BonFigures } from './figures';
import { scoreProxy, type ProxyScores } from './proxies';
import type { BonReport } from './report';
import { signsOf, type Signs } from './signs';

/**
 * Best-of-n against proxies of a known gold reward (arXiv 2210.10760, 2310.02743, closed variant): the policy answers prompts, gold labels
 * pairs of its answers, a share of the labels is flipped, proxies learn from them, and choose among N new answers.
 * @throws DmoermError as `prepare`.
 */
export async function studyBon(options: StudyOptions): Promise<BonReport> {
  const { size, onStage } = options;
  const material = await prepare(options);
  const test = pick(material, material.prompts, 'test');
  const responses = pick(material, material.responses, 'test');
  const random = createRandom(1);
  const evidence: Omit<BonEvidence, 'noise'> = {
    gold: pick(material, material.gold, 'test').map((row) => row.map(({ reward }) => reward)),
    ties: test.map(() => shuffle([...Array(size.samples).keys()], random)),
    strata: test.map(({ task }) => task),
    draws: size.draws,
  };
  const arms: BonFigures[] = [];
  const signs: Signs[] = [];
  for (const noise of size.noises) {
    const own = await labelled(material, noise, options);
    const flipped = `${Math.round(100 * noise)} % flipped`;
    const proxies = proxiesOf(size);
    const scores = new Map<string, ProxyScores>();
    for (const [i, proxy] of proxies.entries()) {
      onStage?.(`${flipped}, proxy ${i + 1} of ${proxies.length}: ${proxy.name}`);
      scores.set(proxy.name, await scoreProxy(proxy, test, responses, own));
    }
    onStage?.(`${flipped}: curves and intervals`);
    arms.push(...figuresOf(armsOf(proxies, scores, responses), { ...evidence, noise }));
    signs.push(signsOf(scores.get('top_layers') ?? {}, responses, { ...evidence, noise }));
  }
  return { size, data: material.data, prompts: test.length, arms, signs };
}
