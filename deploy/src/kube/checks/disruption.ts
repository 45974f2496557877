import { reasonOf } from '../api';
import type { ApiAnswer } from '../api';
import type { Context } from '../context';
import { NAMESPACE } from '../fixture';
import { PODS, isReady, podsOf } from '../pods';
import type { LivePod } from '../pods';

const BUDGETS = `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets`;

interface Budget {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly disruptionsAllowed: number; readonly currentHealthy: number };
}

/**
 * Evictions, as draining a node makes them: one at a time goes through, a second is refused while the first pod's successor is not ready, and a pod
 * that is broken anyway may always go. Control: without the budget both go.
 */
export async function disruption(context: Context, deployment: string): Promise<void> {
  const { api, report } = context;
  await settled(context, deployment);
  const [first, second] = await ready(context, deployment);
  const one = await evict(context, first);
  const two = await evict(context, second);
  report.check(
    `${deployment}: its budget lets one pod be evicted and refuses the second`,
    one.status === 201 && two.status === 429 && /disruption budget/.test(reasonOf(two)),
    { first: one.status, second: reasonOf(two) },
  );

  await settled(context, deployment);
  const [broken, well] = await ready(context, deployment);
  await breakPod(context, broken);
  await allowed(context, deployment, 0);
  const other = await evict(context, well);
  const self = await evict(context, broken);
  report.check(
    `${deployment}: while a pod is broken its budget holds the well ones and lets the broken one go`,
    other.status === 429 && self.status === 201,
    { well: other.status, broken: self.status },
  );

  await settled(context, deployment);
  const budget = await api.get<object>(`${BUDGETS}/${deployment}`);
  await api.delete(`${BUDGETS}/${deployment}`);
  const [a, b] = await ready(context, deployment);
  const both = [await evict(context, a), await evict(context, b)];
  report.check(
    'control: without the budget both are evicted',
    both.every(({ status }) => status === 201),
    { statuses: both.map(({ status }) => status) },
  );
  await api.create(BUDGETS, fresh(budget));
  await settled(context, deployment);
}

/** Two ready pods of a Deployment. */
async function ready({ api }: Context, deployment: string): Promise<[LivePod, LivePod]> {
  const [first, second] = (await podsOf(api, deployment)).filter(isReady);
  if (first === undefined || second === undefined) throw new Error(`${deployment} has not two ready pods`);
  return [first, second];
}

function evict({ api }: Context, { metadata: { name } }: LivePod): Promise<ApiAnswer> {
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: NAMESPACE } };
  return api.request('POST', `${PODS}/${name}/eviction`, eviction);
}

/** Says of a pod what a kubelet says when its readiness probe fails. */
async function breakPod({ api, pods }: Context, { metadata: { name, uid } }: LivePod): Promise<void> {
  const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'False' }));
  const answer = await api.request(
    'PATCH',
    `${PODS}/${name}/status`,
    { status: { conditions } },
    'application/strategic-merge-patch+json',
  );
  if (answer.status !== 200) throw new Error(`${name}: ${reasonOf(answer)}`);
  await pods.until(`${name} is broken`, (all) =>
    all.some((pod) => pod.metadata.uid === uid && !isReady(pod)),
  );
}

/** Waits until all pods are there again and the budget knows it. */
async function settled(context: Context, deployment: string): Promise<void> {
  await allowed(context, deployment, 1);
}

/** Waits until a budget allows so many disruptions. */
async function allowed({ api }: Context, name: string, count: number): Promise<void> {
  await api.until<Budget>(`budget ${name} allows ${count} disruptions`, BUDGETS, (all) =>
    all.some(({ metadata, status }) => metadata.name === name && status?.disruptionsAllowed === count),
  );
}

/** An object as it was before the cluster had it. */
function fresh(object: object): object {
  const {
    metadata,
    status: _,
    ...rest
  } = object as {
    metadata: { name: string; labels?: object; annotations?: object };
    status?: object;
  };
  const { name, labels, annotations } = metadata;
  return { ...rest, metadata: { name, labels, annotations } };
}
