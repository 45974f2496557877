export { openBundle, findBundle, revisionOf } from './bundle';
export type { Bundle, OpenOptions } from './bundle';
export { createBundle } from './create';
export type { BundleSpec } from './create';
export { cachedBasePath, digestBase, resolveBase } from './cache';
export { KNOWN_BASES } from './known-bases';
export { parseManifest } from './manifest';
export type { BaseReference, BaseSource, BundleTask, Manifest } from './manifest';
export { pullBase } from './pull';
export type { PullOptions } from './pull';
// For other packages.
export { canonicalJson, hashFile, sha256 } from './digest';
