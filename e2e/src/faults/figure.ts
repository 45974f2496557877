import { availableParallelism, cpus, loadavg } from 'node:os';

/** How much a figure measures: `quick` in every test run, `short` all of them in a quarter of an hour, `full` what the threshold says. */
export type Size = 'quick' | 'short' | 'full';

/** What was measured. */
export interface Outcome {
  /** Whether the threshold holds. */
  readonly holds: boolean;
  /** The numbers, in a line: `0 of 4,000 lost, p99 1.2 x steady`. */
  readonly figure: string;
}

/** A reliability figure with its negative control. */
export interface Figure {
  readonly id: `R${number}`;
  readonly title: string;
  /** What must hold, in a line. */
  readonly threshold: string;
  /** Measures the system. */
  measure(size: Size): Promise<Outcome>;
  /** The same with the defence taken away: must not hold, or the measurement sees nothing. */
  control(size: Size): Promise<Outcome>;
}

/** The `fault` record (ARCHITECTURE, "Commands and records"). */
export interface FaultRecord {
  readonly id: string;
  readonly holds: boolean;
  readonly figure: string;
  readonly control_failed_as_it_must: boolean;
  readonly control_figure: string;
  readonly size: Size;
  readonly seconds: number;
  /** Where: processor, cores, and the load average of the minute before. */
  readonly machine: { readonly processor: string; readonly cores: number; readonly load: number };
}

/** Whether the threshold holds, and the control could tell. */
export function isGood({ holds, control_failed_as_it_must: failed }: FaultRecord): boolean {
  return holds && failed;
}

/** Measures a figure, then its control. */
export async function examine({ id, measure, control }: Figure, size: Size): Promise<FaultRecord> {
  const begin = performance.now();
  const machine = {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
  const { holds, figure } = await measure(size);
  const without = await control(size);
  return {
    id,
    holds,
    figure,
    control_failed_as_it_must: !without.holds,
    control_figure: without.figure,
    size,
    seconds: Math.round((performance.now() - begin) / 1e3),
    machine,
  };
}
