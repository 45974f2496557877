# Gathers the units of all indexes into one run folder; makes aggregators, router and bundle there.
set -eu
run=$RUNS/all
index=0
for unit in $UNITS; do
  until [ -f "$RUNS/unit-$index/units/$unit/result.json" ]; do sleep 10; done
  mkdir -p "$run/units/$unit"
  cp -R "$RUNS/unit-$index/units/$unit/." "$run/units/$unit/"
  index=$((index + 1))
done
# A base from scratch has the same bits in every run folder.
if [ -d "$RUNS/unit-0/base" ] && [ ! -d "$run/base" ]; then
  rm -rf "$run/base.part"
  cp -R "$RUNS/unit-0/base" "$run/base.part"
  mv "$run/base.part" "$run/base"
fi
exec dmoerm train "$RECIPE" --run "$run" --output "$OUTPUT" --threads "$THREADS" --metrics-listen "$METRICS"
