import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KUBE_VERSION, TOOLS } from '../chart';
import { go } from './go';

/** Everything of the cluster, git-ignored: binaries, and the data of clusters that run. */
export const KUBE_FOLDER = join(TOOLS, 'kube');

/** Programs of the control plane and what talks to it. */
export const PROGRAMS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kwok',
  'kubectl',
] as const;
export type Program = (typeof PROGRAMS)[number];

const ETCD_VERSION = '3.7.3';
const KWOK_VERSION = '0.8.0';
const VERSIONS: Readonly<Record<Program, string>> = {
  etcd: ETCD_VERSION,
  'kube-apiserver': KUBE_VERSION,
  'kube-controller-manager': KUBE_VERSION,
  'kube-scheduler': KUBE_VERSION,
  kubectl: KUBE_VERSION,
  kwok: KWOK_VERSION,
};

/** Where a program of the pinned version is, or will be. */
export function programPath(name: Program): string {
  return join(KUBE_FOLDER, 'bin', VERSIONS[name], name);
}

/** The programs that are not built yet. */
export function missingPrograms(): Program[] {
  return PROGRAMS.filter((name) => !existsSync(programPath(name)));
}

/**
 * Builds what is missing from Go modules, one program after another: about 20 minutes of two cores, once. A stopped build goes on where it
 * was. @throws Error with go's own words.
 */
export async function buildPrograms(): Promise<void> {
  for (const name of missingPrograms()) {
    const folder = join(KUBE_FOLDER, 'build', name === 'etcd' || name === 'kwok' ? name : 'kubernetes');
    if (!existsSync(folder)) await prepare(name, folder);
    const { target, flags } = SOURCES[name];
    const draft = `${programPath(name)}.part`;
    const ldflags = ['-s', '-w', ...flags].join(' ');
    mkdirSync(join(programPath(name), '..'), { recursive: true });
    await go(['build', '-v', '-mod=mod', '-trimpath', '-ldflags', ldflags, '-o', draft, target], {
      cwd: folder,
      label: `building ${name}`,
    });
    renameSync(draft, programPath(name));
  }
}

interface Source {
  /** The package, or the file, that is compiled. */
  readonly target: string;
  /** Flags of the linker. */
  readonly flags: readonly string[];
}

const [major, minor] = KUBE_VERSION.split('.');
const VERSION_FLAGS = Object.entries({
  gitVersion: `v${KUBE_VERSION}`,
  gitMajor: major,
  gitMinor: minor,
}).map(([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`);
const kubernetes = (name: string): Source => ({
  target: `k8s.io/kubernetes/cmd/${name}`,
  flags: VERSION_FLAGS,
});
const SOURCES: Readonly<Record<Program, Source>> = {
  etcd: { target: '.', flags: [] },
  'kube-apiserver': kubernetes('kube-apiserver'),
  'kube-controller-manager': kubernetes('kube-controller-manager'),
  'kube-scheduler': kubernetes('kube-scheduler'),
  kubectl: kubernetes('kubectl'),
  kwok: { target: 'sigs.k8s.io/kwok/cmd/kwok', flags: [] },
};

/** Makes the module in which a program is compiled: whole or not at all. */
async function prepare(name: Program, folder: string): Promise<void> {
  const draft = `${folder}.part`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  const at = { cwd: draft, label: `fetching ${name}` };
  if (name === 'etcd') {
    const module = 'go.etcd.io/etcd/server/v3';
    writeFileSync(join(draft, 'go.mod'), `module dmoerm.dev/${name}\n`);
    writeFileSync(
      join(draft, 'main.go'),
      `package main\n\nimport (\n\t"os"\n\n\t"${module}/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n`,
    );
    await go(['get', `${module}@v${ETCD_VERSION}`], at);
  } else if (name === 'kwok') {
    writeFileSync(join(draft, 'go.mod'), `module dmoerm.dev/${name}\n`);
    await go(['get', '-tool', `sigs.k8s.io/kwok/cmd/kwok@v${KWOK_VERSION}`], at);
  } else await prepareKubernetes(draft);
  renameSync(draft, folder);
}

async function prepareKubernetes(draft: string): Promise<void> {
  const release = `k8s.io/kubernetes@v${KUBE_VERSION}`;
  const at = { cwd: draft, label: 'fetching kubernetes' };
  const { Dir: source } = JSON.parse(await go(['mod', 'download', '-json', release], at)) as { Dir: string };
  const mod = readFileSync(join(source, 'go.mod'), 'utf8');
  writeFileSync(join(draft, 'go.mod'), standAlone(mod, KUBE_VERSION));
  // Files of the module cache are read-only, and copies would be too.
  writeFileSync(join(draft, 'go.sum'), readFileSync(join(source, 'go.sum')));
  writeFileSync(join(draft, 'parts.go'), 'package parts\n');
  const programs = PROGRAMS.filter((name) => name.startsWith('kube')).map(
    (name) => `k8s.io/kubernetes/cmd/${name}`,
  );
  await go(['get', '-tool', ...programs.map((program) => `${program}@v${KUBE_VERSION}`)], at);
}

/**
 * Kubernetes' own go.mod for a module beside it. It names its parts by folders that only its repository has; here they are the modules that are
 * published beside each release, 1.2.3 as v0.2.3. All else stays as it is in that release.
 */
export function standAlone(mod: string, version: string): string {
  const parts = `v${version.replace(/^1\./, '0.')}`;
  return mod
    .replace(/^module .*$/m, 'module dmoerm.dev/kubernetes')
    .replace(/=> \.\/staging\/src\/(\S+)/g, `=> $1 ${parts}`)
    .replace(/^(\s*\S+) v0\.0\.0(?=\s)/gm, `$1 ${parts}`);
}
