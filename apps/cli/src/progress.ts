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

/** Progress of one stage after another, with remarks in between. */
export interface StageProgress {
  message(text: string): void;
  update(stage: string, value: number, total: number): void;
  stop(): void;
}

/** A bar per stage; remarks end the bar before them. */
export function createStageProgress(unit: string): StageProgress {
  let current: { readonly stage: string; readonly bar: Progress } | null = null;
  const stop = (): void => {
    current?.bar.stop();
    current = null;
  };
  return {
    message: (text) => {
      stop();
      process.stderr.write(`${text}\n`);
    },
    update: (stage, value, total) => {
      if (current?.stage !== stage) {
        stop();
        current = { stage, bar: createProgress(stage, unit) };
      }
      current.bar.update(value, total);
    },
    stop,
  };
}
