export { bytesUnder, findBundle, openBundle, revisionOf } from './bundle';
export type { Bundle, OpenOptions } from './bundle';
export { createBundle } from './create';
export type { BundleSpec } from './create';
export { addExpert } from './add-expert';
export type { AddedExpert, ExpertPlace } from './add-expert';
export { exportExpert } from './export-expert';
export type { ExportedExpert } from './export-expert';
export { openExpertSource } from './expert-source';
export type { ExpertHead, ExpertSource } from './expert-source';
export { cachedBasePath, digestBase, resolveBase } from './cache';
export { KNOWN_BASES } from './known-bases';
export { parseManifest } from './manifest';
export type { BaseReference, BaseSource, BundleTask, Manifest } from './manifest';
export { pullBase } from './pull';
export type { PullOptions } from './pull';
// For other packages.
export { checkPlan } from './plan-rules';
export { canonicalJson, hashFile, sha256 } from './digest';
