import { spawnSync } from 'node:child_process';
import { chromium, type Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** Path of this machine's Chromium; null if it has none. */
export function findChromium(): string | null {
  for (const name of NAMES) {
    const { status, stdout } = spawnSync('which', [name], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  return null;
}

/** Starts it without a window. */
export function launch(executablePath: string): Promise<Browser> {
  // As root it has no sandbox of its own; it opens nothing but our page.
  return chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
}
