/// <reference lib="dom" />
import { AxeBuilder } from '@axe-core/playwright';
import { createToken, digestToken } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { Services } from './gateway/gateways';
import { findChromium, launch } from './playground/browser';
import { QUICK_END, exitStatus, serve, type Served } from './serve';

jest.setTimeout(120_000);

const ROOT = join(__dirname, '..', '..');
const PAGE = join(ROOT, 'apps', 'playground', 'dist');
const PYTHON = join(ROOT, 'clients', 'python', '.venv', 'bin', 'python');
const ROUTER_OF_SNIPPETS = '127.0.0.1:50051';
/** A text that quotes of shells, Python and JSON must survive. */
const AWKWARD = `It's "blue"\\ \${HOME} $(id) \`id\`\n\tnaïve 🙂`;

const executable = findChromium();
const built = existsSync(join(PAGE, 'index.html'));
if (executable === null)
  process.stderr.write(
    'skipped: the playground in a browser (no chromium; Debian: apt-get install chromium)\n',
  );

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-playground-'));
const services = new Services();
let served: Served;
let origin: string;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the page's console said that it should not. */
let complaints: string[];

interface Answer {
  readonly results: readonly {
    readonly candidates: readonly { readonly reward: number }[];
    readonly revision: string;
  }[];
}

it('is built: the gateway has a page to serve', () => expect(built).toBe(true));

(executable === null ? describe.skip : describe)('the playground', () => {
  beforeAll(async () => {
    logger.level = 'silent';
    served = await serve('default', folder, ['--http', '127.0.0.1:0'], QUICK_END);
    origin = `http://${served.addresses.gateway}`;
    browser = await launch(executable as string);
  });
  afterAll(async () => {
    await browser.close();
    await services.stop();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await open(origin);
  });
  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  async function open(address: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    await context?.close();
    context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      permissions: ['clipboard-read', 'clipboard-write'],
      ...options,
    });
    complaints = [];
    page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('console', (message) => {
      // A refusal of the API is no fault of the page; Chromium reports it all the same.
      if (message.type() === 'error' && !message.text().includes('Failed to load resource'))
        complaints.push(message.text());
    });
    page.on('pageerror', ({ message }) => complaints.push(message));
    await page.goto(address);
    await loaded();
  }

  /** The page asks for the model when it begins to listen to the keyboard. */
  const loaded = (): Promise<void> =>
    page
      .getByText(/tasks, conversations|No answer/)
      .first()
      .waitFor();
  /** Does something that scores; the answer when the page shows it. */
  async function scored(act: () => Promise<unknown>): Promise<Answer> {
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.url().endsWith('/v1/score') && one.request().method() === 'POST'),
      act(),
    ]);
    const answer = (await response.json()) as Answer;
    await page.locator('section[aria-label="Scores"][aria-busy="false"]').waitFor();
    return answer;
  }
  const byKeys = (): Promise<void> => page.keyboard.press('Control+Enter');
  /** Rewards that stand on the page, with all their digits. */
  const shown = (): Promise<number[]> =>
    page
      .locator('[data-reward]')
      .evaluateAll((all) => all.map((one) => Number(one.getAttribute('data-reward'))));
  const rewards = ({ results }: Answer): number[] => results[0]!.candidates.map(({ reward }) => reward);
  const violations = async (): Promise<string[]> =>
    (await new AxeBuilder({ page }).analyze()).violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 90)} ${failureSummary}`).join(' | ')}`,
    );

  it('shows the rewards that the API gives, by keyboard alone', async () => {
    await page.getByRole('textbox', { name: 'Turn 1' }).fill('Why is the sky blue?');
    await page.getByLabel('Response 1', { exact: true }).fill('Air scatters blue light more than red light.');
    await page.keyboard.press('Tab');
    const answer = await scored(byKeys);
    expect(await shown()).toEqual(rewards(answer));
    const body = {
      items: [
        {
          messages: [{ role: 'user', content: 'Why is the sky blue?' }],
          candidates: await texts(),
        },
      ],
    };
    const again = await fetch(`${origin}/v1/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(rewards((await again.json()) as Answer)).toEqual(await shown());
    expect(await page.getByText('best').count()).toBe(1);
    const card = page.getByRole('article').filter({ hasText: 'best' });
    const best = rewards(answer).indexOf(Math.max(...rewards(answer)));
    expect(await card.getAttribute('aria-label')).toBe(`Scores of response ${best + 1}`);
  });

  async function texts(): Promise<string[]> {
    const boxes = page.getByRole('textbox', { name: /^Response \d+$/ });
    return Promise.all((await boxes.all()).map((box) => box.inputValue()));
  }

  it('switches the aggregation of what is scored at once, and the weight of the variance', async () => {
    const learned = await scored(byKeys);
    const aggregation = page.getByLabel('Aggregation');
    const worst = await scored(() => aggregation.selectOption('worst_case'));
    expect(await shown()).toEqual(rewards(worst));
    const weighted = await scored(() => aggregation.selectOption('uncertainty_weighted'));
    const heavier = await scored(async () => {
      await page.getByRole('slider').focus();
      await page.keyboard.press('End');
    });
    expect(await shown()).toEqual(rewards(heavier));
    const all = [learned, worst, weighted, heavier].map((one) => rewards(one)[0]);
    expect(new Set(all).size).toBe(4);
    expect(all[3]).toBeLessThan(all[2]!);
  });

  it('forces a task, and shows how probable the others were', async () => {
    await scored(byKeys);
    expect(await page.getByRole('progressbar', { name: /^Probability of/ }).count()).toBe(5);
    const forced = await scored(() => page.getByLabel('Task').selectOption('summarization'));
    expect(await shown()).toEqual(rewards(forced));
    expect(await page.getByLabel('Routing').isDisabled()).toBe(true);
    expect(await page.getByRole('row', { name: /^coverage/ }).count()).toBe(1);
  });

  it('says beside a text what is wrong with it, and gives no number for it', async () => {
    await page.getByRole('button', { name: 'Add a response' }).click();
    const answer = await scored(byKeys);
    const last = page.getByRole('textbox', { name: /^Response \d+$/ }).last();
    expect(await last.getAttribute('aria-invalid')).toBe('true');
    const scoredOnes = rewards(answer).filter((reward) => reward !== undefined);
    expect(await shown()).toEqual(scoredOnes);
    expect(await page.getByText('no reward', { exact: true }).count()).toBe(1);
    await last.fill('now there is one');
    expect(await last.getAttribute('aria-invalid')).not.toBe('true');
    expect(await page.getByText('The texts have changed since').count()).toBe(1);
    await scored(byKeys);
    expect(await shown()).toHaveLength(scoredOnes.length + 1);

    await page.getByLabel('Role of turn 1').selectOption('assistant');
    await scored(byKeys);
    expect(await page.getByRole('alert').textContent()).toContain('No answer');
    expect(await shown()).toEqual([]);
  });

  it('adds and removes turns and responses', async () => {
    const before = (await texts()).length;
    await page.getByRole('button', { name: 'Add a turn' }).click();
    expect(await page.getByLabel('Role of turn 2').inputValue()).toBe('assistant');
    await page.getByLabel('Turn 2', { exact: true }).fill('Because of the air.');
    await page.getByRole('button', { name: 'Add a turn' }).click();
    await page.getByLabel('Turn 3', { exact: true }).fill('Why not violet?');
    await page.getByRole('button', { name: 'Remove response 1' }).click();
    expect(await texts()).toHaveLength(before - 1);
    const answer = await scored(byKeys);
    expect(await shown()).toEqual(rewards(answer));
    await page.getByRole('button', { name: 'Remove turn 2' }).click();
    expect(await page.getByRole('textbox', { name: /^Turn \d$/ }).count()).toBe(2);
  });

  describe('copies the request as a program that gives the same bits:', () => {
    let expected: number[];

    async function copied(language: string): Promise<string> {
      await page.getByRole('textbox', { name: 'Turn 1' }).fill(AWKWARD);
      await page.getByLabel('Response 1', { exact: true }).fill(`${AWKWARD}!`);
      await page.getByLabel('Aggregation').selectOption('uncertainty_weighted');
      expected = rewards(await scored(byKeys));
      await page.getByRole('tab', { name: language }).click();
      await page.getByRole('button', { name: `Copy ${language}` }).click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      return page.evaluate(() => navigator.clipboard.readText());
    }
    /** Programs find the router of the tests instead of the usual one. */
    const here = (code: string): string => {
      expect(code).toContain(ROUTER_OF_SNIPPETS);
      return code.replace(ROUTER_OF_SNIPPETS, served.addresses.router);
    };
    function ran(command: string, args: readonly string[]): string {
      const { status, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, expect.not.stringContaining('Error')]);
      return stdout;
    }
    const lines = (text: string): number[] =>
      text
        .trim()
        .split('\n')
        .map((line) => parseFloat(line));

    it('curl', async () => {
      const code = await copied('curl');
      expect(rewards(JSON.parse(ran('sh', ['-c', code])) as Answer)).toEqual(expected);
    });

    it('TypeScript', async () => {
      const code = here(await copied('TypeScript'));
      expect(lines(ran(process.execPath, ['--input-type=module', '--eval', code]))).toEqual(expected);
    });

    const python = existsSync(PYTHON);
    if (!python) process.stderr.write('skipped: the copied Python (clients/python has no .venv)\n');
    (python ? it : it.skip)('Python', async () => {
      const code = here(await copied('Python'));
      expect(lines(ran(PYTHON, ['-c', code]))).toEqual(expected);
    });
  });

  describe('is for everybody:', () => {
    for (const [name, options] of [
      ['light', { colorScheme: 'light' }],
      ['dark', { colorScheme: 'dark' }],
      ['at the width of a phone', { viewport: { width: 360, height: 740 }, colorScheme: 'light' }],
    ] as const)
      it(`${name}: axe finds nothing, and nothing is wider than the screen`, async () => {
        await open(origin, options);
        expect(await violations()).toEqual([]);
        await scored(byKeys);
        expect(await violations()).toEqual([]);
        expect(
          await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
        ).toBeLessThanOrEqual(0);
        // On a phone they are below the editor, and come to the reader.
        expect(await page.getByRole('heading', { name: 'Rewards' }).isVisible()).toBe(true);
        const top = await page
          .getByRole('heading', { name: 'Rewards' })
          .evaluate((one) => one.getBoundingClientRect().top);
        expect(top).toBeLessThan(740);
        const images = process.env['DMOERM_SCREENSHOTS'];
        if (images !== undefined)
          await page.screenshot({
            path: join(images, `playground-${name.split(' ').at(-1)}.png`),
            fullPage: name.startsWith('at'),
          });
      });

    it('control: axe finds what is taken away', async () => {
      await page.getByRole('textbox', { name: 'Turn 1' }).evaluate((one) => {
        one.removeAttribute('aria-label');
        one.removeAttribute('placeholder');
      });
      expect(await violations()).toEqual([expect.stringMatching(/^label: /)]);
    });
  });

  it('runs no script but its own, and asks nobody but its gateway', async () => {
    const asked: string[] = [];
    page.on('request', (one) => asked.push(one.url()));
    await page.reload();
    await loaded();
    await scored(byKeys);
    expect(asked.filter((url) => !url.startsWith(origin))).toEqual([]);
    await expect(page.addScriptTag({ content: 'window.theirs = true' })).rejects.toThrow();
    expect(await page.evaluate(() => 'theirs' in window)).toBe(false);
    expect(complaints.splice(0)).toEqual([expect.stringContaining('Content Security Policy')]);
  });

  it('asks for a token where the gateway wants one, and keeps it nowhere', async () => {
    const token = createToken();
    const access = join(folder, 'access.yaml');
    writeFileSync(
      access,
      `identities:
  - name: reader
    role: trainer
    token_sha256: [${digestToken(token)}]
`,
    );
    const { base } = await services.gateway(served.addresses.router, [
      '--access-file',
      access,
      '--playground',
      PAGE,
    ]);
    await open(base);
    await page.getByRole('alert').waitFor();
    await page.getByLabel('API token').fill(token);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('tokens').first().waitFor();
    const answer = await scored(byKeys);
    expect(await shown()).toEqual(rewards(answer));
    const [kept, snippet] = await page.evaluate(() => [
      JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie,
      document.body.textContent,
    ]);
    expect(`${kept}${snippet}`).not.toContain(token);
    expect(snippet).toContain('$DMOERM_TOKEN');
  });

  it('says so when the gateway goes away, and shows no scores', async () => {
    const { base, service } = await services.gateway(served.addresses.router, ['--playground', PAGE]);
    await open(base);
    await scored(byKeys);
    await service.stop();
    await byKeys();
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('The gateway does not answer');
    expect(await shown()).toEqual([]);
  });
});
