import type { EngineInfo, EngineMemory, WeightType } from '@dmoerm/engine';

/** What a child is told to do, as its one argument. */
export interface StartJob {
  /** As `openBase` takes it. */
  readonly base: string;
  readonly weightType: WeightType;
  readonly threads: number;
  readonly cacheDirectory: string;
  /** PEFT folders; each becomes a task of one expert. */
  readonly adapters: readonly string[];
}

/** Memory of a process. */
export interface Resident {
  /** Bytes; mapped files included. */
  readonly total: number;
  /** Bytes that belong to this process alone. */
  readonly anonymous: number;
}

/** What a child answers, one line of JSON. */
export interface StartMeasurement {
  readonly info: EngineInfo;
  /** From the call of `createEngine` until it is done, seconds. */
  readonly loadSeconds: number;
  /** First evaluation of a short sequence: it touches what was only mapped. Seconds. */
  readonly firstSeconds: number;
  /** Before the engine, after that evaluation, and after each adapter's task. */
  readonly resident: {
    readonly before: Resident;
    readonly base: Resident;
    readonly experts: readonly Resident[];
  };
  readonly memory: { readonly base: EngineMemory; readonly experts: readonly EngineMemory[] };
}

/** Measurements of one base and type of weights. */
export interface Starts {
  /** Without packed weights: they are made and written. */
  readonly cold: readonly StartMeasurement[];
  /** From the packed weights that the start before wrote. */
  readonly warm: readonly StartMeasurement[];
}
