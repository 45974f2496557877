import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { EventFile } from './event-file';
import { showMetric } from './gauges';

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
      /** Pairs that it learned from; of a language model, sequences. */
      readonly examples: number;
    }
  | {
      readonly type: 'valid';
      readonly unit: string;
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly accuracy: number;
    };

/** Metrics as JSON lines. */
export const METRICS = 'metrics.jsonl';
/** The same as TensorBoard events. */
export const EVENTS = 'events.out.tfevents.1';

/** Metrics as JSON lines, as TensorBoard events and on the process's Prometheus page, to be watched while they grow. */
export class MetricsFile {
  private readonly file: string;
  private readonly events: EventFile;

  /**
   * @param folder gets both files.
   * @param bytes Length of the former that belongs to the state from which the run goes on; what follows is cut off.
   */
  constructor(folder: string, bytes: number) {
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, METRICS);
    if (this.bytes > bytes) truncateSync(this.file, bytes);
    const lines = existsSync(this.file) ? readFileSync(this.file, 'utf8').split('\n').filter(Boolean) : [];
    this.events = new EventFile(
      join(folder, EVENTS),
      lines.map((line) => JSON.parse(line) as Metric),
    );
  }

  get bytes(): number {
    return existsSync(this.file) ? statSync(this.file).size : 0;
  }

  add(metric: Metric): void {
    appendFileSync(this.file, `${JSON.stringify(metric)}\n`);
    this.events.add(metric);
    showMetric(metric);
  }
}
