import { Presets, SingleBar } from 'cli-progress';

/** A progress bar on standard error. */
export interface ProgressBar {
  update(done: number): void;
  stop(): void;
}

/** Between two lines where standard error is a file, milliseconds. */
const LOG_INTERVAL_MS = 30_000;

/** A bar with the time that is left; a line now and then where standard error is no terminal. */
export function startProgressBar(label: string, unit: string, total: number): ProgressBar {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: LOG_INTERVAL_MS,
      format: `${label} {bar} {percentage} %  {value}/{total} ${unit}  {eta_formatted} left`,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return { update: (done) => bar.update(done), stop: () => bar.stop() };
}
