import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Backend, answers, freePort } from './backend';
import { RULES } from './questions';

/** A series with its samples: times in seconds, and numbers. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

/** An observation that leads to a trace. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
}

/** A Prometheus that reads processes and evaluates our rules every second. */
export class Prometheus implements AsyncDisposable {
  private readonly targets = new Set<string>();

  private constructor(
    private readonly folder: string,
    /** Of its pages and its API. */
    readonly url: string,
    private readonly backend: Backend,
  ) {}

  /** Starts one with its data in `folder`. */
  static async start(program: string, folder: string): Promise<Prometheus> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const file = join(folder, 'prometheus.yaml');
    // JSON is YAML. Production reads less often, by the same rules.
    writeFileSync(
      file,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: [RULES],
        scrape_configs: [
          { job_name: 'dmoerm', honor_labels: true, file_sd_configs: [{ files: ['targets.json'] }] },
        ],
      }),
    );
    writeFileSync(join(folder, 'targets.json'), '[]');
    const backend = await Backend.start({
      name: 'prometheus',
      folder,
      command: [
        program,
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(folder, 'prometheus-data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--enable-feature=exemplar-storage',
      ],
      isReady: () => answers(`${url}/-/ready`),
    });
    return new Prometheus(folder, url, backend);
  }

  /** Reads these from now on too: host:port of metrics pages. */
  watch(...addresses: readonly string[]): void {
    for (const address of addresses) this.targets.add(address);
    writeFileSync(join(this.folder, 'targets.json'), JSON.stringify([{ targets: [...this.targets] }]));
  }

  /** Answers of a query now. */
  async query(query: string): Promise<{ metric: Series['metric']; value: readonly [number, string] }[]> {
    const { result } = await this.get<{ result: { metric: Series['metric']; value: [number, string] }[] }>(
      'query',
      {
        query,
      },
    );
    return result;
  }

  /** Answers of a query every two seconds from a time of day (milliseconds) on. */
  async range(query: string, fromMs: number): Promise<Series[]> {
    const times = { start: `${fromMs / 1e3}`, end: `${Date.now() / 1e3}`, step: '2' };
    return (await this.get<{ result: Series[] }>('query_range', { query, ...times })).result;
  }

  /** Traces of calls that a histogram remembers. */
  async exemplars(query: string, fromMs: number): Promise<Exemplar[]> {
    const times = { start: `${fromMs / 1e3}`, end: `${Date.now() / 1e3}` };
    const series = await this.get<{ exemplars: Exemplar[] }[]>('query_exemplars', { query, ...times });
    return series.flatMap(({ exemplars }) => exemplars);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
  }

  private async get<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}?${String(new URLSearchParams(parameters))}`);
    const body = (await response.json()) as { status: string; data: T; error?: string };
    if (body.status !== 'success')
      throw new Error(`${body.error ?? response.status}: ${JSON.stringify(parameters)}`);
    return body.data;
  }
}
