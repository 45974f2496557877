import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { cachedBasePath, KNOWN_BASES } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import { loadAddon } from '@dmoerm/engine';
import type { Command } from 'commander';
import { EXIT } from './exit';
import { writeJson } from './json-file';
import { readSettings } from './settings';

/** One thing that the mesh needs or can use. */
interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** True if the mesh cannot run or be built without it. */
  readonly needed: boolean;
  readonly detail: string;
}

/** `dmoerm doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('Says what this machine can do and what is missing, with what to install.')
    .option('--json <file>', 'write the findings here')
    .action(async (options: { json?: string }) => {
      const findings = await examine();
      writeJson(options.json, { findings });
      for (const { ok, needed, name, detail } of findings)
        process.stdout.write(
          `${ok ? 'ok     ' : needed ? 'MISSING' : 'absent '}  ${name.padEnd(16)} ${detail}\n`,
        );
      process.exitCode = findings.every(({ ok, needed }) => ok || !needed) ? EXIT.done : EXIT.wrongUse;
    });
}

async function examine(): Promise<Finding[]> {
  const { cacheDir } = readSettings();
  const major = Number(process.versions.node.split('.')[0]);
  return [
    {
      name: 'node',
      ok: major >= 20,
      needed: true,
      detail: `${process.version}${major >= 20 ? '' : '; 20 or later is needed'}`,
    },
    tool(
      'C++ compiler',
      'c++',
      true,
      'Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install',
    ),
    tool(
      'CMake',
      'cmake',
      true,
      'Debian, Ubuntu: apt-get install cmake; Fedora: dnf install cmake; macOS: brew install cmake',
    ),
    tool('python3', 'python3', false, 'only the second source of bases and the goldens use it'),
    addon(),
    {
      name: 'machine',
      ok: true,
      needed: true,
      detail: `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    },
    { name: 'CUDA', ok: false, needed: false, detail: 'the engine has a CPU back end only' },
    cache(cacheDir),
    ...Object.values(KNOWN_BASES).map((base) => {
      const path = cachedBasePath(cacheDir, base);
      const here = existsSync(path);
      return {
        name: `base ${base.name}`,
        ok: here,
        needed: false,
        detail: here ? path : `dmoerm base pull ${base.name}`,
      };
    }),
    await port(50051),
  ];
}

function tool(name: string, command: string, needed: boolean, remedy: string): Finding {
  try {
    const version = execFileSync(command, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n')[0];
    return { name, ok: true, needed, detail: version ?? '' };
  } catch {
    return { name, ok: false, needed, detail: remedy };
  }
}

function addon(): Finding {
  try {
    const { instructionSets, gpu } = loadAddon();
    return {
      name: 'native engine',
      ok: true,
      needed: true,
      detail:
        `${gpu.available ? `CUDA back end on ${gpu.detail}` : `CPU back end (${gpu.detail})`}, ` +
        `instruction sets: ${instructionSets.join(', ')}`,
    };
  } catch (error) {
    return { name: 'native engine', ok: false, needed: true, detail: DmoermError.from(error).message };
  }
}

function cache(cacheDir: string): Finding {
  try {
    mkdirSync(cacheDir, { recursive: true });
    accessSync(cacheDir, constants.W_OK);
    return { name: 'cache', ok: true, needed: true, detail: cacheDir };
  } catch {
    return {
      name: 'cache',
      ok: false,
      needed: true,
      detail: `${cacheDir} is not writable; set DMOERM_CACHE`,
    };
  }
}

function port(number: number): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer();
    const finish = (ok: boolean, detail: string): void =>
      resolve({ name: `port ${number}`, ok, needed: false, detail });
    server.once('error', () => finish(false, 'in use: `dmoerm serve --listen 127.0.0.1:0` takes a free one'));
    server.listen(number, '127.0.0.1', () => server.close(() => finish(true, 'free')));
  });
}
