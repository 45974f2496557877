import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { CHART, findTool } from '../chart';
import { NAMESPACE } from './fixture';

/** What helm has done. */
export interface HelmOutcome {
  readonly ok: boolean;
  /** What the API server warned of on the way. */
  readonly warnings: readonly string[];
  /** All that it printed. */
  readonly output: string;
}

/** A release of the chart in a cluster, through helm as an operator calls it. */
export class Release {
  /** @param folder for helm's own files. */
  constructor(
    readonly name: string,
    private readonly kubeconfig: string,
    private readonly folder: string,
  ) {}

  /** `helm install --wait`. */
  install(args: readonly string[]): Promise<HelmOutcome> {
    return this.helm(['install', this.name, CHART, '--wait', ...args]);
  }

  /** `helm upgrade --wait`. */
  upgrade(args: readonly string[]): Promise<HelmOutcome> {
    return this.helm(['upgrade', this.name, CHART, '--wait', ...args]);
  }

  /** `helm rollback --wait` to a revision of the release. */
  rollback(revision: number): Promise<HelmOutcome> {
    return this.helm(['rollback', this.name, `${revision}`, '--wait']);
  }

  /** `helm uninstall --wait`. */
  uninstall(): Promise<HelmOutcome> {
    return this.helm(['uninstall', this.name, '--wait']);
  }

  /** Number of its latest revision. @throws Error if it is not installed. */
  async revision(): Promise<number> {
    const { ok, output } = await this.helm(['status', this.name, '--output', 'json']);
    if (!ok) throw new Error(output);
    return (JSON.parse(output) as { version: number }).version;
  }

  private helm(args: readonly string[]): Promise<HelmOutcome> {
    const helm = findTool('helm');
    if (helm === null) throw new Error('helm is not here: npm run tools -w deploy');
    const homes = ['CACHE', 'CONFIG', 'DATA'].map((kind) => [`HELM_${kind}_HOME`, join(this.folder, 'helm')]);
    const env = { ...process.env, ...(Object.fromEntries(homes) as Record<string, string>) };
    const all = [...args, '--namespace', NAMESPACE, '--kubeconfig', this.kubeconfig];
    return new Promise((resolve, reject) => {
      const child = spawn(helm, all, { env, stdio: ['ignore', 'pipe', 'pipe'] });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.on('error', reject);
      child.on('close', (status) => {
        const warnings = stderr.split('\n').filter((line) => /warning/i.test(line));
        resolve({ ok: status === 0, warnings, output: `${stdout}${stderr}` });
      });
    });
  }
}
