# Trains the unit of this pod's index in a run folder of its own: processes must not share one.
set -eu
run=$RUNS/unit-$JOB_COMPLETION_INDEX
set -- $UNITS
shift "$JOB_COMPLETION_INDEX"
first=${1%/*}/task
# An expert stands on its task's adapter, where the recipe trains one.
case " $UNITS " in *" $first "*)
  if [ "$1" != "$first" ]; then
    index=0
    for unit in $UNITS; do
      [ "$unit" = "$first" ] && break
      index=$((index + 1))
    done
    until [ -f "$RUNS/unit-$index/units/$first/result.json" ]; do sleep 10; done
    mkdir -p "$run/units/$first"
    cp -R "$RUNS/unit-$index/units/$first/." "$run/units/$first/"
  fi
  ;;
esac
exec dmoerm train "$RECIPE" --run "$run" --index "$JOB_COMPLETION_INDEX" --threads "$THREADS" --metrics-listen "$METRICS"
