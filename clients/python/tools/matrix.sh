#!/usr/bin/env bash
# Runs the tests with old and new protobuf and grpcio: what trainers bring. Prints a table. Venvs are kept in .venvs.
set -euo pipefail
cd "$(dirname "$0")/.."
printf '%-10s %-10s %s\n' protobuf grpcio tests
failed=0
for pair in '4.25 1.60' '5.26 1.60' '5.29 1.85' '6.30 1.60' '6.33 1.85' '7.36 1.60' '7.36 1.85'; do
  read -r protobuf grpcio <<<"$pair"
  venv=.venvs/$protobuf-$grpcio
  if [ ! -x "$venv/bin/pytest" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "protobuf==$protobuf.*" "grpcio==$grpcio.*" pytest pytest-timeout hypothesis
    "$venv/bin/pip" install -q --no-deps -e .
  fi
  if summary=$("$venv/bin/pytest" -q -p no:cacheprovider tests 2>&1 </dev/null | grep -E "passed|failed|error" | tail -1); then :; fi
  case $summary in *failed* | *error*) failed=1 ;; esac
  printf '%-10s %-10s %s\n' "$protobuf" "$grpcio" "$summary"
done
exit $failed
