import { execFileSync } from 'node:child_process';
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

  /** Writes JSON lines to `file`, says how many held, and returns the exit status. */
  end(file: string | undefined): number {
    const { records, failed } = this;
    const podman = execFileSync('podman', ['--version'], { encoding: 'utf8' }).trim();
    const lines = [{ machine: { podman, node: process.version } }, ...records];
    if (file !== undefined) writeFileSync(file, lines.map((one) => `${JSON.stringify(one)}\n`).join(''));
    process.stdout.write(`${records.length - failed} passed, ${failed} failed\n`);
    return failed === 0 ? 0 : 1;
  }
}
