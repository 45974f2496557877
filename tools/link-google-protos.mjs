// Puts google/rpc/{status,error_details}.proto beside our protos for buf: buf reads modules inside its workspace only.
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';

const protos = new URL('../protos/', import.meta.url);
const { getProtoPath } = createRequire(new URL('package.json', protos))('google-proto-files');
const target = new URL('google/rpc/', protos);
mkdirSync(target, { recursive: true });
for (const file of ['status.proto', 'error_details.proto'])
  copyFileSync(getProtoPath('rpc', file), new URL(file, target));
