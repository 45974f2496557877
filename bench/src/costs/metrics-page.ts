/** Counters of a service that costs are made of. */
export interface Counters {
  /** Processor time of the process, all its threads, seconds. */
  readonly cpuSeconds: number;
  /** Rows that its engine has computed; 0 where there is none. */
  readonly tokens: number;
  /** Resident memory, bytes. */
  readonly memoryBytes: number;
}

/** Reads them from the Prometheus page at host:port. @throws Error if it does not answer or has no such counters. */
export async function readCounters(address: string): Promise<Counters> {
  const response = await fetch(`http://${address}/metrics`);
  if (!response.ok) throw new Error(`metrics of ${address}: ${response.status}`);
  const page = await response.text();
  const cpuSeconds = sumOf(page, 'process_cpu_seconds_total');
  const memoryBytes = sumOf(page, 'process_resident_memory_bytes');
  if (cpuSeconds === null || memoryBytes === null)
    throw new Error(`metrics of ${address} do not tell processor time and memory`);
  return { cpuSeconds, memoryBytes, tokens: sumOf(page, 'dmoerm_batch_tokens_sum') ?? 0 };
}

/** Sum of a metric's series on a page of Prometheus text; null if it has none. */
export function sumOf(page: string, name: string): number | null {
  const series = [...page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'))];
  return series.length === 0 ? null : series.reduce((sum, [, value]) => sum + Number(value), 0);
}
