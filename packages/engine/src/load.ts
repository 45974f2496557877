import { DmoermError } from '@dmoerm/core';
import type { NativeAddon } from './native';

let addon: NativeAddon | null = null;

/**
 * Loads the compiled addon, once.
 * @throws DmoermError FAILED_PRECONDITION, reason `NATIVE_ADDON_MISSING`, with the repairs to try.
 */
export function loadAddon(): NativeAddon {
  if (addon !== null) return addon;
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- a native addon has no import form
    addon = require('@dmoerm/native') as NativeAddon;
    return addon;
  } catch (cause) {
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'NATIVE_ADDON_MISSING',
      message:
        `the native engine does not load (${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}). ` +
        'Build it with `npm run build -w native` (needs CMake 3.20 and a C++20 compiler: Debian and Ubuntu ' +
        '`apt-get install g++ cmake`, Fedora `dnf install gcc-c++ cmake`); `npx dmoerm doctor` says what is missing.',
      cause,
    });
  }
}
