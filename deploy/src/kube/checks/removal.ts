import type { Context } from '../context';
import { NAMESPACE } from '../fixture';
import { PODS } from '../pods';

interface Resources {
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

/** What comes and goes by itself. */
const FLEETING = /^(events|leases|endpointslices|endpoints|pods|replicasets)$/;

/** Everything in the namespace, of every kind that the API server knows. */
export async function inventory({ api }: Context): Promise<ReadonlySet<string>> {
  const groups = await api.get<{ groups: { preferredVersion: { groupVersion: string } }[] }>('/apis');
  const roots = [
    '/api/v1',
    ...groups.groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const found = new Set<string>();
  for (const root of roots)
    for (const { name, namespaced, verbs } of (await api.get<Resources>(root)).resources)
      if (namespaced && verbs.includes('list') && !FLEETING.test(name))
        for (const { metadata } of await api.list(`${root}/namespaces/${NAMESPACE}/${name}`))
          found.add(`${name} ${metadata.name}`);
  return found;
}

/** Uninstalling leaves the namespace as it was before; what it had is counted, so that the look cannot be an empty one. */
export async function removal(context: Context, name: string, before: ReadonlySet<string>): Promise<void> {
  const { release, report, api, pods } = context;
  const had = [...(await inventory(context))].filter((one) => !before.has(one));
  const { ok, output } = await release.uninstall();
  await pods.until('the pods are gone', (all) => all.length === 0);
  const left = [...(await inventory(context))].filter((one) => !before.has(one));
  const replicaSets = await api.list(`/apis/apps/v1/namespaces/${NAMESPACE}/replicasets`);
  const running = await api.list(PODS);
  report.check(
    `${name}: uninstalling leaves nothing behind`,
    ok && had.length > 20 && left.length + replicaSets.length + running.length === 0,
    { had: had.length, left, ...(!ok && { output: output.trim() }) },
  );
}
