import type { Context } from '../context';
import { NEVER_READY } from '../stages';
import { DEPLOYMENTS, PODS, isReady } from '../pods';
import type { Extremes, LiveDeployment, LivePod } from '../pods';

/** How long an upgrade whose pods never start is waited for. */
const STUCK_TIMEOUT = '10s';

/**
 * An upgrade takes no pod away before its successor is ready; one whose pods never become ready takes none away at all, and a rollback ends it. Control: a
 * Deployment without that promise lacks pods while it rolls.
 * @param args of the release as it is installed.
 */
export async function rollout(context: Context, args: readonly string[]): Promise<void> {
  const { release, report, pods, api } = context;
  const before = await replicas(context);

  pods.reset();
  const upgrade = await release.upgrade([...args, '--set', 'podAnnotations.rollout=second']);
  report.check(
    'an upgrade of all pods takes none away before its successor is ready',
    upgrade.ok && kept(pods.seen, before, 1),
    {
      ...figures(pods.seen),
      ...(!upgrade.ok && { output: upgrade.output.trim() }),
    },
  );

  const total = [...before.values()].reduce((sum, count) => sum + count, 0);
  const settled = (what: string): Promise<void> =>
    pods.until(what, (all) => all.length === total && all.every(isReady));
  await settled('the pods of before the upgrade are gone');
  const old = await names(context);
  const same = await release.upgrade([...args, '--set', 'podAnnotations.rollout=second']);
  const still = await names(context);
  const good = await release.revision();
  report.check('an upgrade that changes nothing restarts nothing', same.ok && still.join() === old.join(), {
    pods: still.length,
  });

  pods.reset();
  const stuck = await release.upgrade([
    ...args,
    ...['--set-string', `podAnnotations.${NEVER_READY.replaceAll('.', '\\.')}=true`],
    ...['--timeout', STUCK_TIMEOUT],
  ]);
  const survivors = (await names(context)).filter((name) => old.includes(name));
  report.check(
    'an upgrade whose pods never become ready fails and leaves every old pod at work',
    !stuck.ok && kept(pods.seen, before, 1) && survivors.length === old.length,
    { ...figures(pods.seen), survivors: survivors.length },
  );
  const back = await release.rollback(good);
  await settled('the pods of the failed upgrade are gone');
  report.check(
    'a rollback ends it: the pods of before, none restarted',
    back.ok && kept(pods.seen, before, 1) && (await names(context)).join() === old.join(),
    { pods: old.length, ...(!back.ok && { output: back.output.trim() }) },
  );

  pods.reset();
  const [first] = await api.list<LiveDeployment>(DEPLOYMENTS);
  if (first === undefined) throw new Error('there is no Deployment');
  const { name } = first.metadata;
  await api.patch(`${DEPLOYMENTS}/${name}`, {
    spec: {
      strategy: { rollingUpdate: { maxUnavailable: '100%', maxSurge: 0 } },
      template: { metadata: { annotations: { rollout: 'without the promise' } } },
    },
  });
  await pods.until(`${name} has rolled`, (all) => {
    const own = all.filter((pod) => pod.metadata.name.startsWith(`${name}-`));
    return own.length === first.spec.replicas && own.every((pod) => isRolled(pod));
  });
  report.check(
    'control: a Deployment that may lack all pods lacks them while it rolls',
    !kept(pods.seen, before, 1),
    figures(pods.seen),
  );
  const restored = await release.rollback(good);
  if (!restored.ok) throw new Error(restored.output);
}

function isRolled(pod: LivePod): boolean {
  return isReady(pod) && pod.metadata.annotations?.['rollout'] === 'without the promise';
}

async function replicas({ api }: Context): Promise<ReadonlyMap<string, number>> {
  const deployments = await api.list<LiveDeployment>(DEPLOYMENTS);
  // As PodWatch names their pods: without the release.
  return new Map(
    deployments.map(({ metadata, spec }) => [metadata.name.replace(/^.*?dmoerm-/, ''), spec.replicas]),
  );
}

/** Names of the pods that do not end, sorted. */
async function names({ api }: Context): Promise<string[]> {
  const pods = await api.list<LivePod>(PODS);
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** Whether there were always as many ready pods as there should be, and never more than so many beyond. */
function kept(
  seen: ReadonlyMap<string, Extremes>,
  wanted: ReadonlyMap<string, number>,
  surge: number,
): boolean {
  return [...wanted].every(([group, count]) => {
    const { leastReady, most } = seen.get(group) ?? { leastReady: 0, most: 0 };
    return leastReady >= count && most <= count + surge;
  });
}

function figures(seen: ReadonlyMap<string, Extremes>): object {
  return {
    least_ready: Object.fromEntries([...seen].map(([group, { leastReady }]) => [group, leastReady])),
    most: Object.fromEntries([...seen].map(([group, { most }]) => [group, most])),
  };
}
