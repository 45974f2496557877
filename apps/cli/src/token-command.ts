import { createToken, digestToken } from '@dmoerm/rpc';
import type { Command } from 'commander';

/** `dmoerm token`. */
export function addTokenCommand(program: Command): void {
  program
    .command('token')
    .description(
      'Makes an API token for one identity. Give the first line to whoever calls (DMOERM_TOKEN, --token-file), and write the\n' +
        "second into the server's access file: the token itself is stored nowhere.",
    )
    .action(() => {
      const token = createToken();
      process.stdout.write(`${token}\ntoken_sha256: [${digestToken(token)}]\n`);
    });
}
