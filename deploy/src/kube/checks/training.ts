import type { Context } from '../context';
import { NAMESPACE, createClaim } from '../fixture';
import type { LivePod } from '../pods';
import { PODS } from '../pods';

interface Job {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly completionMode?: string; readonly completions?: number };
  readonly status?: {
    readonly succeeded?: number;
    readonly completedIndexes?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const JOBS = `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`;

/**
 * The training Job makes a pod of its own for each unit, which knows its index; pods wait for the volumes. Control: without the volumes
 * none is placed.
 */
export async function training(context: Context, args: readonly string[], units: number): Promise<void> {
  const { api, release, report } = context;
  const started = await release.upgrade(args);
  const waiting = (await trainingPods(context)).filter(({ spec }) => spec.nodeName !== undefined);
  report.check('control: without the claims no training pod is placed', started.ok && waiting.length === 0, {
    placed: waiting.length,
    ...(!started.ok && { output: started.output.trim() }),
  });
  for (const name of ['preferences', 'runs']) await createClaim(api, name);
  const jobs = await completed(context);
  const indexed = jobs.find(({ spec }) => spec.completionMode === 'Indexed');
  const pods = (await trainingPods(context)).filter((pod) => indexOf(pod) !== undefined);
  const indexes = pods.map(indexOf).sort();
  const told = pods.every(({ spec }) =>
    spec.containers.every(({ env = [] }) => env.some(({ name }) => name === 'JOB_COMPLETION_INDEX')),
  );
  report.check(
    'training: each unit has its index, is told of it and is done; the bundle follows',
    jobs.length === 2 &&
      indexed?.status?.completedIndexes === `0-${units - 1}` &&
      told &&
      indexes.length === units,
    { jobs: jobs.length, completed: indexed?.status?.completedIndexes, pods: indexes },
  );
}

function indexOf({ metadata: { annotations = {} } }: LivePod): string | undefined {
  return annotations['batch.kubernetes.io/job-completion-index'];
}

function trainingPods({ api }: Context): Promise<LivePod[]> {
  return api.list<LivePod>(`${PODS}?labelSelector=app.kubernetes.io%2Fcomponent%3Dtraining`);
}

/** The Jobs, when all are complete. @throws Error if they are not in time. */
function completed({ api }: Context): Promise<readonly Job[]> {
  const isComplete = ({ status }: Job): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === 'Complete' && holds === 'True') ?? false;
  return api.until<Job>(
    'the training Jobs are complete',
    JOBS,
    (all) => all.length > 1 && all.every(isComplete),
  );
}
