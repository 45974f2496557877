import { appendFileSync, existsSync, mkdirSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';

/** A step of a learner, or an evaluation. */
export type Metric =
  | {
      readonly type: 'step';
      readonly unit: string;
      readonly step: number;
      readonly epoch: number;
      /** Mean over the step's prompts. */
      readonly loss: number;
      readonly gradient_norm: number;
      readonly learning_rate: number;
      readonly rows_per_second: number;
    }
  | {
      readonly type: 'valid';
      readonly unit: string;
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly accuracy: number;
    };

/** Metrics as JSON lines, to be watched while they grow. */
export class MetricsFile {
  /** @param bytes Length that belongs to the state from which the run goes on; what follows is cut off. */
  constructor(
    private readonly file: string,
    bytes: number,
  ) {
    mkdirSync(dirname(file), { recursive: true });
    if (existsSync(file) && statSync(file).size > bytes) truncateSync(file, bytes);
  }

  get bytes(): number {
    return existsSync(this.file) ? statSync(this.file).size : 0;
  }

  add(metric: Metric): void {
    appendFileSync(this.file, `${JSON.stringify(metric)}\n`);
  }
}
