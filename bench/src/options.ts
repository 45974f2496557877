import { availableParallelism } from 'node:os';
import { InvalidArgumentError, type Command } from 'commander';
import type { OutputOptions } from './report';

/** Options of every bench. */
export interface CommonOptions extends OutputOptions {
  /** Less of everything: ends within two minutes. */
  readonly quick: boolean;
  /** How often all take their turn; each bench has a default. */
  readonly rounds?: number;
  /** Threads of the engine and of each peer. */
  readonly threads: number;
}

/** Options of the benches that `npm run bench:gpu` runs. */
export interface GpuOptions {
  /** Engine and peers on the GPU; peers that have no GPU here stay away. */
  readonly gpu: boolean;
}

/** Adds the options of every bench. */
export function addCommonOptions(command: Command): Command {
  return addOutputOptions(command)
    .option('--quick', 'the cases that matter most, within two minutes', false)
    .option('--rounds <n>', 'how often engine and peers take their turns', parseCount)
    .option('--threads <n>', 'threads of the engine and of each peer', parseCount, availableParallelism());
}

/** Adds `--gpu`; the engine takes the GPU by itself where it is built for it. */
export function addGpuOption(command: Command): Command {
  return command.option('--gpu', 'peers on the GPU too: see `npm run bench:gpu`', false);
}

/** Adds the options that say where figures go. */
export function addOutputOptions(command: Command): Command {
  return command
    .option('--json <file>', 'write the records here, JSON lines, and a plot beside them')
    .option('--plot <file>', 'write the plot here, SVG');
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number of at least 1.');
  return value;
}

/** Several of them, separated by commas. */
export function parseCounts(text: string): number[] {
  return text.split(',').map(parseCount);
}
