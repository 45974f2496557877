import type { Context } from '../context';
import { DEPLOYMENTS } from '../pods';
import type { LiveDeployment } from '../pods';

/** Slips, and what the refusal must name. */
const SLIPS: Readonly<Record<string, readonly [set: string, says: RegExp]>> = {
  'a misspelt key': ['router.replica=3', /router[\s\S]*replica/],
  'a setting that the router does not have': [
    'router.settings.maxItem=3',
    /router[\s\S]*settings[\s\S]*maxItem/,
  ],
  'a claim without a name': ['bundle.source=claim', /bundle[\s\S]*claim/],
  'two experts of one name': ['experts[0].name=a,experts[1].name=a', /experts: the name a stands twice/],
};

/** Wrong values are refused before anything changes, with words that name them. */
export async function values({ api, release, report }: Context, args: readonly string[]): Promise<void> {
  const before = await generations();
  for (const [slip, [set, says]] of Object.entries(SLIPS)) {
    const { ok, output } = await release.upgrade([...args, '--set', set]);
    const unchanged = (await generations()) === before;
    report.check(`${slip} is refused by name, and nothing changes`, !ok && says.test(output) && unchanged, {
      says: output
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .at(-1),
    });
  }

  async function generations(): Promise<string> {
    const all = await api.list<LiveDeployment & { metadata: { generation: number } }>(DEPLOYMENTS);
    return all.map(({ metadata }) => `${metadata.name} ${metadata.generation}`).join();
  }
}
