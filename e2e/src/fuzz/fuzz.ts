import { performance } from 'node:perf_hooks';
import { setImmediate as breathe } from 'node:timers/promises';
import { DmoermError } from '@dmoerm/core';
import { inputs } from './mutate';
import type { Target } from './targets';

/** What a target made of its inputs. */
export interface FuzzResult {
  readonly target: string;
  readonly inputs: number;
  /** Inputs that were read without complaint. */
  readonly accepted: number;
  /** Reasons of refusals that were seen: how far inside the inputs got. */
  readonly reasons: number;
  readonly seconds: number;
  readonly findings: readonly Finding[];
}

/** An input that did what none may do. */
export interface Finding {
  readonly problem: string;
  readonly bytes: Buffer;
}

/** A reader that takes longer, or more memory beyond what it had, is a finding. */
const MAX_MS = 2_000;
const MAX_BYTES = 512 << 20;
/** More of them would tell the same again. */
const MAX_FINDINGS = 5;

/** Reads mutated inputs until `stop` says so: each is accepted or refused with an error of ours, in time and memory. */
export async function fuzz(
  { name, seeds, mutate, read }: Target,
  seed: number,
  stop: (inputs: number, seconds: number) => boolean,
): Promise<FuzzResult> {
  const next = inputs(seeds, mutate, seed);
  const findings: Finding[] = [];
  const reasons = new Set<string>();
  const begin = performance.now();
  const elapsed = (): number => (performance.now() - begin) / 1e3;
  let count = 0;
  let accepted = 0;
  for (const bytes of seeds) await read(bytes);
  for (; !stop(count, elapsed()) && findings.length < MAX_FINDINGS; count++) {
    const bytes = next();
    const start = performance.now();
    const before = process.memoryUsage.rss();
    let problem: string | null = null;
    try {
      await read(bytes);
      accepted++;
    } catch (error) {
      problem = unexpected(error);
      if (problem === null) reasons.add(DmoermError.from(error).reason);
    }
    const ms = performance.now() - start;
    const grown = process.memoryUsage.rss() - before;
    if (ms > MAX_MS) problem ??= `took ${ms.toFixed(0)} ms`;
    if (grown > MAX_BYTES) problem ??= `took ${grown >> 20} MB`;
    if (problem !== null) findings.push({ problem, bytes });
    if (count % 64 === 0) await breathe();
  }
  return { target: name, inputs: count, accepted, reasons: reasons.size, seconds: elapsed(), findings };
}

/** What is wrong with an error, in words; null for one of ours. */
function unexpected(error: unknown): string | null {
  if (!(error instanceof DmoermError))
    return `threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  if (error.code === 'INTERNAL' || error.code === 'UNKNOWN') {
    const { cause } = error;
    return `threw ${error.code}: ${cause instanceof Error ? (cause.stack ?? cause.message) : error.message}`;
  }
  return error.message === '' ? 'refused without a word' : null;
}
