import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from './objects';

const ROOT = resolve(__dirname, '..', '..');

/** The chart's folder. */
export const CHART = join(ROOT, 'deploy', 'helm', 'dmoerm');
/** Where `npm run tools -w deploy` puts tools and schemas. */
export const TOOLS = join(ROOT, '.tools');
/** The Kubernetes that it is rendered and checked for. */
export const KUBE_VERSION = '1.37.2';

const values = (name: string): string[] => ['--values', join(CHART, name)];
const TRAINING = {
  enabled: true,
  units: '{chat/helpfulness,chat/coherence,harmlessness/harmlessness}',
  dataClaim: 'preferences',
  runsClaim: 'runs',
  pullBase: 'smollm2-135m',
};

/** The plain manifests that are kept beside the chart, and how helm makes them. */
export const RENDERED: Readonly<Record<string, readonly string[]>> = {
  cpu: values('values-cpu.yaml'),
  gpu: values('values-gpu.yaml'),
  training: [
    ...values('values-cpu.yaml'),
    ...['--set-file', `training.recipe=${join(ROOT, 'deploy', 'helm', 'example-recipe.yaml')}`],
    ...Object.entries(TRAINING).flatMap(([key, value]) => ['--set', `training.${key}=${value}`]),
    ...['--show-only', 'templates/training.yaml'],
  ],
};

/** Path of a tool that `npm run tools -w deploy` installs, or null. */
export function findTool(name: string): string | null {
  const path = join(TOOLS, 'bin', name);
  return existsSync(path) ? path : null;
}

/** Runs helm. @throws Error with its last words. */
export function helm(...args: string[]): string {
  const path = findTool('helm');
  if (path === null) throw new Error('helm is not here: npm run tools -w deploy');
  const { status, stdout, stderr } = spawnSync(path, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** The chart's manifests for a release. */
export function renderChart(args: readonly string[], release = 'dmoerm'): string {
  return helm('template', release, CHART, '--namespace', 'dmoerm', '--kube-version', KUBE_VERSION, ...args);
}

/** The objects of manifests. */
export function parseManifests(text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    const object = document.toJS() as KubeObject | null;
    return object === null ? [] : [object];
  });
}

/** The objects of a kept manifest. */
export function keptManifests(name: string): KubeObject[] {
  return parseManifests(readFileSync(join(ROOT, 'deploy', 'helm', 'rendered', `${name}.yaml`), 'utf8'));
}

/** Checks objects against Kubernetes' own schemas. @throws Error with what is wrong. */
export function kubeconform(manifests: string): void {
  const path = findTool('kubeconform');
  if (path === null) throw new Error('kubeconform is not here: npm run tools -w deploy');
  const schemas = join(TOOLS, 'schemas', '{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json');
  execFileSync(path, ['-strict', '-schema-location', schemas, '-'], { input: manifests, encoding: 'utf8' });
}
