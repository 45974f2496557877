import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { DmoermError } from '@dmoerm/core';
import { describeFetchError } from './fetch-error';

const run = promisify(execFile);

/** Prints the simple index that pip is configured for, or its built-in one. */
const ASK_PIP = `
import os, subprocess, sys
configured = os.environ.get("PIP_INDEX_URL") or subprocess.run(
    [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True).stdout.strip()
if not configured:
    from pip._internal.models.index import PyPI
    configured = PyPI.simple_url
print(configured)
`;

/**
 * The Python package index that this machine's pip uses: no address is ours to choose where people run mirrors.
 * @throws DmoermError UNAVAILABLE if there is no python3 with pip.
 */
export async function findPackageIndex(): Promise<string> {
  try {
    const { stdout } = await run('python3', ['-c', ASK_PIP], { timeout: 20_000 });
    return stdout.trim().replace(/\/+$/, '');
  } catch (cause) {
    throw new DmoermError({
      code: 'UNAVAILABLE',
      reason: 'NO_PACKAGE_INDEX',
      message: 'python3 with pip is not there to say which package index to use',
      cause,
    });
  }
}

/**
 * Address of the file with the given digest on the package's index page (PEP 691 JSON, else PEP 503 HTML).
 * @throws DmoermError UNAVAILABLE if the index cannot be reached or has no such file.
 */
export async function findPackageFile(
  index: string,
  name: string,
  sha256: string,
  signal?: AbortSignal,
): Promise<string> {
  const page = `${index}/${name}/`;
  const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';
  try {
    const response = await fetch(page, { headers: { accept }, ...(signal === undefined ? {} : { signal }) });
    if (!response.ok) throw new Error(`the index answered ${response.status}`);
    const text = await response.text();
    const found = (response.headers.get('content-type') ?? '').includes('json')
      ? fromJson(text, sha256)
      : fromHtml(text, sha256);
    if (found === null) throw new Error('the index has no file with the expected digest');
    return new URL(found, response.url || page).toString();
  } catch (error) {
    throw new DmoermError({
      code: 'UNAVAILABLE',
      reason: 'DOWNLOAD_FAILED',
      message: `package ${name}: ${describeFetchError(error)}`,
      cause: error,
    });
  }
}

function fromJson(text: string, sha256: string): string | null {
  const { files } = JSON.parse(text) as { files: { url: string; hashes: Record<string, string> }[] };
  return files.find(({ hashes }) => hashes['sha256'] === sha256)?.url ?? null;
}

/** Links of a PEP 503 page carry the digest in their fragment. */
function fromHtml(text: string, sha256: string): string | null {
  const link = new RegExp(`href="([^"#]+)#sha256=${sha256}"`).exec(text);
  return link?.[1]?.replaceAll('&amp;', '&') ?? null;
}
