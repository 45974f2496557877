/** What was found, said at once and counted. */
export class Report {
  private passed = 0;
  private failed = 0;
  private skipped = 0;

  /** Notes a finding, with what it was seen by. */
  check(says: string, holds: boolean, seen = ''): void {
    if (holds) this.passed++;
    else this.failed++;
    process.stdout.write(`${holds ? 'ok     ' : 'FAILED '} ${says}${seen === '' ? '' : `: ${seen}`}\n`);
  }

  /** Notes what was not looked at, and why. */
  skip(says: string, why: string): void {
    this.skipped++;
    process.stdout.write(`skipped: ${says} (${why})\n`);
  }

  /** Says how many held; the exit status. */
  end(): number {
    if (this.skipped > 0) process.stdout.write(`${this.skipped} skipped\n`);
    process.stdout.write(`${this.passed} passed, ${this.failed} failed\n`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}
