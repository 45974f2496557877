import { Presets, SingleBar } from 'cli-progress';

/** A progress bar on standard error; silent where nobody watches. */
export interface Progress {
  update(value: number, total: number): void;
  stop(): void;
}

/** A bar with the time that is left. */
export function createProgress(label: string, unit: string): Progress {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      noTTYOutput: false,
      format: `${label} {bar} {percentage} %  {done}/{all} ${unit}  {eta_formatted} left`,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update: (value, total) => {
      const payload = { done: Math.round(value), all: Math.round(total) };
      if (!started) bar.start(total, value, payload);
      else bar.update(value, payload);
      started = true;
    },
    stop: () => {
      if (started) bar.stop();
    },
  };
}
