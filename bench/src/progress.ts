/** A line for whoever waits; standard output stays the table's. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
