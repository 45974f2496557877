#!/usr/bin/env bash
# Base images without a registry: Debian by debootstrap, node and npm of this machine. Needs root, podman, debootstrap.
#   deploy/docker/local-base.sh       makes localhost/dmoerm-runtime and localhost/dmoerm-builder
# MIRROR is Debian's, default that of debootstrap. For podman in places without systemd: CONTAINERS_CONF=deploy/docker/containers.conf
set -euo pipefail
node=$(readlink -f "$(command -v node)")
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_base() { # NAME, packages
  local root=$work/$1
  debootstrap --variant=minbase --include="$2" bookworm "$root" ${MIRROR:+"$MIRROR"} >"$work/log" || { tail "$work/log" >&2; exit 1; }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/* "$root"/var/log/*
  # What this machine trusts.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  install "$node" "$root/usr/local/bin/node"
}

make_base runtime ca-certificates,libstdc++6
make_base builder ca-certificates,cmake,g++,make
mkdir -p "$work/builder/usr/local/lib/node_modules"
cp -R "$npm" "$work/builder/usr/local/lib/node_modules/npm"
for tool in npm npx; do ln -s "../lib/node_modules/npm/bin/$tool-cli.js" "$work/builder/usr/local/bin/$tool"; done
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for name in runtime builder; do
  tar -C "$work/$name" -c . | podman import -q --change "ENV PATH=$path" - "localhost/dmoerm-$name"
done
