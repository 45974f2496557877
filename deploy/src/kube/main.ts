import { join } from 'node:path';
import { CHART, KUBE_VERSION, RENDERED, findTool } from '../chart';
import { Report } from '../report';
import { admitted, refused } from './checks/admission';
import { disruption } from './checks/disruption';
import { gpus } from './checks/gpus';
import { available, done, spread } from './checks/install';
import { inventory, removal } from './checks/removal';
import { rollout } from './checks/rollout';
import { scaling } from './checks/scaling';
import { training } from './checks/training';
import { values } from './checks/values';
import type { Context } from './context';
import { startControlPlane } from './control-plane';
import { furnish } from './fixture';
import { hasGo } from './go';
import { PodWatch } from './pods';
import { Release } from './release';
import { KUBE_FOLDER, buildPrograms, missingPrograms } from './tools';

const CPU = ['--values', join(CHART, 'values-cpu.yaml')];
/** The same with the training Job. */
const TRAINING = (RENDERED['training'] ?? []).filter(
  (arg, i, all) => arg !== '--show-only' && all[i - 1] !== '--show-only',
);
const TRAINING_UNITS = 3;

const report = new Report();

/** Everything of the chart on a control plane of its own. */
async function main(): Promise<void> {
  const folder = join(KUBE_FOLDER, 'test');
  const begin = performance.now();
  const plane = await startControlPlane(folder);
  let pods: PodWatch | null = null;
  const interrupt = (): void => void plane.stop().finally(() => process.exit(130));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await furnish(plane.api);
    pods = new PodWatch(plane.api);
    report.check('a control plane comes up', true, {
      seconds: Math.round((performance.now() - begin) / 1e3),
    });
    const release = new Release('dmoerm', plane.kubeconfig, folder);
    await onProcessors({ api: plane.api, release, pods, report });
    await gpus({ api: plane.api, release, pods, report });
    report.check('all parts of the control plane ran to the end', plane.dead().length === 0, {
      ended: plane.dead(),
    });
  } finally {
    await pods?.close().catch(() => undefined);
    await plane.stop();
  }
}

/** The life of a release without GPUs. */
async function onProcessors(context: Context): Promise<void> {
  const { release } = context;
  const before = await inventory(context);
  await admitted(context, 'cpu', CPU);
  await refused(context, CPU);
  done(context, 'cpu: helm installs it', await release.install(CPU));
  spread(context, await available(context, 'cpu'));
  await disruption(context, 'dmoerm-expert-cpu');
  await values(context, CPU);
  await rollout(context, CPU);
  await scaling(context, 'cpu', CPU);
  await training(context, TRAINING, TRAINING_UNITS);
  // The volumes of training are not the chart's.
  await removal(
    context,
    'cpu',
    new Set([...before, 'persistentvolumeclaims preferences', 'persistentvolumeclaims runs']),
  );
}

async function start(): Promise<void> {
  if (findTool('helm') === null || (missingPrograms().length > 0 && !hasGo())) {
    process.stdout.write(
      `skipped: the chart on Kubernetes (no ${findTool('helm') === null ? 'helm' : 'go'})\n`,
    );
    return;
  }
  await buildPrograms();
  await main();
}

start()
  .catch((error: unknown) =>
    report.check(
      `the test went to its end: ${error instanceof Error ? error.message : String(error)}`,
      false,
    ),
  )
  .finally(() => {
    const at = process.argv.indexOf('--json');
    process.exitCode = report.end(at < 0 ? undefined : process.argv[at + 1], { kubernetes: KUBE_VERSION });
  });
