#!/usr/bin/env bash
# Runs each adapter inside its trainer, of the versions in tests/trainers/trainers.txt, against a running mesh. Prints a table.
#
#   tools/trainers.sh [NAME...]      all trainers, or those named: trl openrlhf verl nemo_gym ms_swift areal skyrl verifiers verifiers_legacy nemo_rl
#
# The trainers are unpacked from their wheels without their dependencies (vLLM, DeepSpeed and so on want GPUs); what they import on their way
# to a reward is in an environment of its own. Everything is kept in .venvs: 7 GB, some minutes for the first run, then five.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venvs/trainers
wheels=.venvs/wheels
list=tests/trainers/trainers.txt
requirements=tests/trainers/requirements.txt

# AReaL and verl want Python 3.12 at most, most others 3.11 at least; nemo-gym says 3.13 and works below.
for python in "${PYTHON:-python3.12}" python3.11 python3; do
  if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
done
if ! cmp -s "$requirements" "$venv/installed.txt"; then
  "$python" -m venv "$venv"
  "$venv/bin/pip" install -q -r "$requirements"
  "$venv/bin/pip" install -q --no-deps -e .
  cp "$requirements" "$venv/installed.txt"
fi

# Where the package of a trainer lies, unpacked.
unpacked() {
  if [ "$1" = - ]; then return; fi
  if "$venv/bin/pip" show -q "$1" 2>/dev/null; then return; fi # TRL, whose dependencies want no GPU, and ms-swift wants it
  local folder=.venvs/trainers-src/$1-$2 compatible
  if [ ! -d "$folder" ]; then
    for compatible in 3.12 3.14; do
      "$venv/bin/pip" download -q -d "$wheels" --no-deps --only-binary=:all: --python-version "$compatible" "$1==$2" 2>/dev/null && break
    done
    "$venv/bin/python" -m zipfile -e "$wheels/${1//-/_}-$2"-*.whl "$folder.part"
    mv "$folder.part" "$folder"
  fi
  # Wheels with compiled parts elsewhere keep their modules in a folder of their own.
  find "$PWD/$folder" -maxdepth 2 -type d -name purelib -print -quit | grep . || echo "$PWD/$folder"
}

export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
printf '%-18s %-10s %s\n' trainer version tests
failed=0
while read -r name package version; do
  case $name in '#'*) continue ;; esac
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  log=.venvs/trainers-$name.log
  PYTHONPATH=$(unpacked "$package" "$version") "$venv/bin/pytest" -q -p no:cacheprovider "tests/trainers/test_$name.py" >"$log" 2>&1 </dev/null || failed=1
  printf '%-18s %-10s %s\n' "$name" "$version" "$(grep -E '[0-9]+ (passed|failed|error)' "$log" | tail -1)"
done <"$list"
[ $failed = 0 ] || echo 'the logs are in .venvs/trainers-NAME.log' >&2
exit $failed
