#!/usr/bin/env node
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const main = join(__dirname, '..', 'dist', 'main.js');
if (!existsSync(main)) {
  process.stderr.write('dmoerm is not built yet; run `npm run build` first (`npm run demo` does it too)\n');
  process.exit(2);
}
require(main);
