// node ship.mjs PACKAGE TARGET: copies a package of this built tree, and what it needs at run time, to TARGET; paths stay as they are.
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const [entry, target] = process.argv.slice(2);
const ROOT = process.cwd();
// Headers, which the engine was compiled with.
const COMPILED_IN = ['node-addon-api', 'node-api-headers'];
const shipped = new Set();

ship(resolve(entry));
if (existsSync(join(ROOT, 'bundles', 'default'))) copy(join(ROOT, 'bundles', 'default'), () => true);
// The page that the gateway serves: files, not a package of its program.
if (shipped.has(join(ROOT, 'services', 'gateway')))
  copy(join(ROOT, 'apps', 'playground', 'dist'), () => true);
copy(join(ROOT, 'LICENSE'), () => true);

function ship(folder) {
  if (shipped.has(folder)) return;
  shipped.add(folder);
  const ours = !folder.includes('/node_modules/');
  copy(folder, (path) => (ours ? isOurs(path) : isTheirs(path)));
  const { dependencies = {}, peerDependencies = {} } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  );
  for (const name of Object.keys({ ...peerDependencies, ...dependencies }).filter(
    (one) => !COMPILED_IN.includes(one),
  )) {
    const place = find(folder, name);
    if (place !== null) ship(link(place));
    else if (name in dependencies) throw new Error(`${folder} needs ${name}, which is not installed`);
  }
}

/** Where node finds a package from a folder. */
function find(folder, name) {
  for (let at = folder; at.startsWith(ROOT); at = dirname(at)) {
    const place = join(at, 'node_modules', name);
    if (existsSync(place)) return place;
  }
  return null;
}

/** The folder of an installed package; if it is a link into this tree, the link is made in the target too. */
function link(place) {
  if (!lstatSync(place).isSymbolicLink()) return place;
  const there = join(target, relative(ROOT, place));
  mkdirSync(dirname(there), { recursive: true });
  if (!existsSync(dirname(there)) || !lstatSync(there, { throwIfNoEntry: false }))
    symlinkSync(readlinkSync(place), there);
  return realpathSync(place);
}

function copy(from, wanted) {
  const filter = (path) => path === from || wanted(relative(from, path));
  cpSync(from, join(target, relative(ROOT, from)), { recursive: true, filter });
}

/** What of our own packages runs. */
function isOurs(path) {
  if (/\.spec\.js$|spec-|\.map$|\.d\.ts$/.test(path)) return false;
  return (
    /^(package\.json|index\.js|openapi\.yaml|(dist|bin)(\/.*)?)$/.test(path) ||
    /^(build(\/Release(\/.*\.node)?)?|src(\/gen(\/descriptors\.binpb)?)?)$/.test(path)
  );
}

/** What of other packages runs here: no sources, no libraries for other systems. */
function isTheirs(path) {
  if (/(^|\/)node_modules(\/|$)|\.map$|\.d\.[cm]?ts$/.test(path)) return false;
  const [, system, arch] = /^bin\/napi-v\d+\/(\w+)(?:\/(\w+))?/.exec(path) ?? [];
  return (system ?? process.platform) === process.platform && (arch ?? process.arch) === process.arch;
}
