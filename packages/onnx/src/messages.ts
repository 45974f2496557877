/** A dense tensor, row-major. */
export type OnnxTensor =
  | { readonly type: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> }
  | { readonly type: 'int64'; readonly shape: readonly number[]; readonly data: BigInt64Array<ArrayBuffer> };

/** Inputs or outputs of one run, by name. */
export type NamedTensors = Readonly<Record<string, OnnxTensor>>;

/** What the worker is asked to do. */
export type Task =
  | { readonly type: 'open'; readonly model: number; readonly path: string }
  | { readonly type: 'run'; readonly model: number; readonly feeds: readonly NamedTensors[] }
  | { readonly type: 'close'; readonly model: number };

/** A task with the number that its answer carries. */
export type Ask = Task & { readonly id: number };

/** The worker's answer: outputs of `run`, nothing for the others, or the text of a failure. */
export type Answer =
  | { readonly id: number; readonly type: 'done'; readonly outputs: readonly NamedTensors[] }
  | { readonly id: number; readonly type: 'failed'; readonly message: string };
