import { Alert, Stack } from '@mantine/core';
import type { Model, Result } from '../api';
import { Capabilities } from './capabilities';
import { Rewards } from './rewards';
import { RouteChart } from './route-chart';
import { TimingsLine } from './timings-line';

/** Everything that an answer says. */
export function Outcome({
  result,
  roundTripNs,
  model,
  stale,
}: {
  readonly result: Result;
  readonly roundTripNs: number;
  readonly model: Model | null;
  /** What is in the editor is not what was scored. */
  readonly stale: boolean;
}) {
  const { candidates, route, timings_ns, revision } = result;
  return (
    <Stack gap="lg">
      {stale && (
        <Alert color="yellow" variant="light" role="status">
          The texts have changed since; these are the scores of those before.
        </Alert>
      )}
      <Rewards candidates={candidates} />
      {route !== null && <RouteChart route={route} model={model} />}
      <Capabilities candidates={candidates} />
      <TimingsLine timings={timings_ns} roundTripNs={roundTripNs} revision={revision} />
    </Stack>
  );
}
