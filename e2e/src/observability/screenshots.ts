import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Prometheus } from './prometheus';
import type { Report } from './report';

const CHROMIUM = '/usr/bin/chromium';
/** Chromium as root, without anything that it does by itself. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What is looked at in Prometheus' own pages. */
const GRAPHS: Readonly<Record<string, string>> = {
  'prometheus-latency': 'service_method:dmoerm_request_duration_seconds:p99',
  'prometheus-scores': 'task_capability:dmoerm_capability_score:mean1h',
};

/** Pictures of Prometheus' pages as a person sees them, into a folder. */
export async function takeScreenshots(folder: string, prometheus: Prometheus, report: Report): Promise<void> {
  if (!existsSync(CHROMIUM))
    return report.skip('screenshots', 'no chromium; Debian: apt-get install chromium');
  const context = await chromium.launchPersistentContext(join(folder, 'chromium'), {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
  });
  try {
    const page = await context.newPage();
    for (const [name, query] of Object.entries(GRAPHS)) {
      const parameters = new URLSearchParams({ 'g0.expr': query, 'g0.tab': '0', 'g0.range_input': '5m' });
      await page.goto(`${prometheus.url}/classic/graph?${String(parameters)}`, { waitUntil: 'networkidle' });
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    }
    await page.goto(`${prometheus.url}/classic/alerts`, { waitUntil: 'networkidle' });
    await page.screenshot({ path: join(folder, 'prometheus-alerts.png') });
    report.check('screenshots', true, folder);
  } finally {
    await context.close();
  }
}
