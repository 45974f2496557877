import { spawn, spawnSync } from 'node:child_process';

/** How often a long build says that it goes on. */
const PROGRESS_MS = 30_000;
const LAST_LINES = 15;

/** Whether a go toolchain is here. */
export function hasGo(): boolean {
  return spawnSync('go', ['version']).status === 0;
}

/** What go is run with. */
export interface GoOptions {
  /** Working folder, a module's or none. */
  readonly cwd: string;
  /** For the line of progress. */
  readonly label: string;
}

/**
 * Runs go after everybody else (`nice`), on two cores at most; says every half a minute how many packages are compiled. What a stopped build
 * has compiled stays in go's own cache.
 * @returns what it printed. @throws Error with its last lines.
 */
export async function go(args: readonly string[], { cwd, label }: GoOptions): Promise<string> {
  const begin = performance.now();
  let [stdout, stderr] = ['', ''];
  const say = (what: string): void => {
    const seconds = Math.round((performance.now() - begin) / 1e3);
    process.stderr.write(`${label}: ${what} (${seconds} s)\n`);
  };
  // `go build -v` prints a line per package that it compiles.
  const progress = setInterval(() => say(`${stderr.split('\n').length - 1} packages`), PROGRESS_MS);
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -p=2' };
  const child = spawn('nice', ['-n', '10', 'go', ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    if (status !== 0)
      throw new Error(
        `go ${args[0]} for ${label} failed: ${stderr.trim().split('\n').slice(-LAST_LINES).join('\n')}`,
      );
  } finally {
    clearInterval(progress);
  }
  say('done');
  return stdout;
}
