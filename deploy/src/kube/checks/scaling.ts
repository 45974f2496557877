import type { Context } from '../context';
import { NAMESPACE } from '../fixture';
import { DEPLOYMENTS, POOL, isReady } from '../pods';
import type { LiveDeployment, LivePod } from '../pods';

const SCALERS = `/apis/autoscaling/v2/namespaces/${NAMESPACE}/horizontalpodautoscalers`;
const LEAST = 3;

interface Scaler {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
}

/**
 * From fixed replicas to a scaler without losing one: a second entry of experts with the scaler, then the first one goes. Control: the same
 * entry changed in place, where helm takes the number away and Kubernetes puts 1 in its place. Nobody serves the metric here, so the scaler
 * brings its least number and says what it lacks; upgrades leave the number to it.
 * @param expert the entry of the release as it is installed, with two replicas.
 */
export async function scaling(context: Context, expert: string, args: readonly string[]): Promise<void> {
  const { api, release, report, pods } = context;
  const fixed = `${release.name}-expert-${expert}`;
  const scaled = `${release.name}-expert-scaled`;

  pods.reset();
  const both = await release.upgrade([...args, ...entry(1, 'scaled')]);
  await ready(context, scaled, LEAST);
  const alone = await release.upgrade([...args, ...entry(0, 'scaled')]);
  await ready(context, fixed, 0);
  const least = pods.seen.get(POOL)?.leastReady ?? 0;
  report.check(
    'a second entry with a scaler takes over: no moment has fewer experts than before',
    both.ok && alone.ok && least >= 2,
    {
      least_ready: least,
      ...(!(both.ok && alone.ok) && { output: `${both.output}${alone.output}`.trim() }),
    },
  );

  const { status } = await api.get<Scaler>(`${SCALERS}/${scaled}`);
  const active = status?.conditions?.find(({ type }) => type === 'ScalingActive');
  report.check(
    'the scaler brings its least number, and says that nobody serves the metric',
    active?.status === 'False',
    {
      replicas: LEAST,
      reason: active?.reason,
    },
  );

  // As the scaler does under load.
  await api.patch(`${DEPLOYMENTS}/${scaled}/scale`, { spec: { replicas: LEAST + 2 } });
  await ready(context, scaled, LEAST + 2);
  const again = await release.upgrade([
    ...args,
    ...entry(0, 'scaled'),
    '--set',
    'router.settings.maxItems=100',
  ]);
  const { spec } = await api.get<LiveDeployment>(`${DEPLOYMENTS}/${scaled}`);
  report.check('an upgrade leaves the number to the scaler', again.ok && spec.replicas === LEAST + 2, {
    replicas: spec.replicas,
  });

  const plain = await release.upgrade(args);
  await ready(context, scaled, 0);
  pods.reset();
  const inPlace = await release.upgrade([...args, ...entry(0, expert)]);
  await ready(context, fixed, LEAST);
  const dip = pods.seen.get(`expert-${expert}`)?.leastReady ?? 0;
  report.check(
    'control: the same entry changed in place loses experts for a while',
    plain.ok && inPlace.ok && dip < 2,
    {
      least_ready: dip,
    },
  );
}

/** Values of an entry of experts with a scaler. */
function entry(index: number, name: string): string[] {
  const autoscaling = ['type=hpa', `minReplicas=${LEAST}`, 'maxReplicas=6'].map(
    (one) => `autoscaling.${one}`,
  );
  return [`name=${name}`, ...autoscaling].flatMap((one) => ['--set', `experts[${index}].${one}`]);
}

/** Waits until a Deployment has so many ready pods, and no others. @throws Error with what the controllers say of it. */
async function ready({ api, pods }: Context, deployment: string, count: number): Promise<void> {
  const ofDeployment = (all: readonly LivePod[]) =>
    all.filter(({ metadata }) => metadata.name.startsWith(`${deployment}-`));
  let last: readonly LivePod[] = [];
  try {
    await pods.until(`${deployment} has ${count} pods`, (all) => {
      last = ofDeployment(all);
      return last.length === count && last.every(isReady);
    });
  } catch (error) {
    const found = await Promise.all(
      [`${DEPLOYMENTS}/${deployment}`, `${SCALERS}/${deployment}`].map((path) =>
        api.get<{ spec: object; status: object }>(path).catch(String),
      ),
    );
    const told = last.map(({ metadata, status }) => [
      metadata.name,
      metadata.deletionTimestamp,
      status?.phase,
    ]);
    throw new Error(`${String(error)}\npods: ${JSON.stringify(told)}\n${JSON.stringify(found)}`, {
      cause: error,
    });
  }
}
