import { join } from 'node:path';
import { startControlPlane, stopControlPlane } from './control-plane';
import { furnish } from './fixture';
import { KUBE_FOLDER, buildPrograms, programPath } from './tools';

const FOLDER = join(KUBE_FOLDER, 'cluster');
const USAGE = `npm run cluster -w deploy -- build | up | down
  build  compiles etcd, Kubernetes and kwok from their Go modules, once
  up     starts a control plane with fake nodes on loopback, which runs on until
  down   ends it and removes its data
`;

/** A control plane to try the chart on by hand. */
async function main(command: string | undefined): Promise<void> {
  if (command === 'down') return stopControlPlane(FOLDER);
  if (command !== 'up' && command !== 'build') {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  await buildPrograms();
  if (command === 'build') return;
  const { api, kubeconfig } = await startControlPlane(FOLDER);
  await furnish(api);
  process.stdout.write(`export KUBECONFIG=${kubeconfig}\nalias kubectl=${programPath('kubectl')}\n`);
}

main(process.argv[2]).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
