import { writeFileSync } from 'node:fs';

/** What was found, said at once and kept. */
export class Report {
  private readonly records: object[] = [];
  private failed = 0;

  /** Notes a finding with its figures. */
  check(says: string, holds: boolean, figures: object = {}): void {
    this.records.push({ says, holds, ...figures });
    if (!holds) this.failed++;
    process.stdout.write(`${holds ? 'ok     ' : 'FAILED '} ${says} ${JSON.stringify(figures)}\n`);
  }

  /**
   * Writes JSON lines to `file`, says how many held, and returns the exit status.
   * @param versions of what it was found with.
   */
  end(file: string | undefined, versions: Readonly<Record<string, string>>): number {
    const { records, failed } = this;
    const lines = [{ machine: { ...versions, node: process.version } }, ...records];
    if (file !== undefined) writeFileSync(file, lines.map((one) => `${JSON.stringify(one)}\n`).join(''));
    process.stdout.write(`${records.length - failed} passed, ${failed} failed\n`);
    return failed === 0 ? 0 : 1;
  }
}
