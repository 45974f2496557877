#!/usr/bin/env bash
# Brings the package's descriptors up to date with protos/.
set -euo pipefail
cd "$(dirname "$0")/../../.."
npm run -s generate -w protos
cp protos/src/gen/descriptors.binpb clients/python/src/dmoerm/descriptors.binpb
