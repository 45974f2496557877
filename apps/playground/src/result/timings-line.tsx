import { Group, Progress, Stack, Text, Title, Tooltip } from '@mantine/core';
import type { Result } from '../api';
import { Revision } from '../header';
import { toMs } from '../numbers';

/** Where the time went, and which revision answered. */
export function TimingsLine({
  timings,
  roundTripNs,
  revision,
}: {
  readonly timings: Result['timings_ns'];
  /** As this page saw it. */
  readonly roundTripNs: number;
  readonly revision: string;
}) {
  const { queue, engine, aggregate, total } = timings;
  const whole = Math.max(roundTripNs, total);
  const parts = [
    { name: 'queue', ns: queue, color: 'yellow' },
    { name: 'engine', ns: engine, color: 'blue' },
    { name: 'aggregate', ns: aggregate, color: 'teal' },
    { name: 'rest of the mesh', ns: Math.max(0, total - queue - engine - aggregate), color: 'grape' },
    { name: 'gateway and network', ns: whole - total, color: 'gray.6' },
  ];
  return (
    <Stack gap={6}>
      <Title order={2} size="h5">
        Time
      </Title>
      <Progress.Root size="lg">
        {parts.map(({ name, ns, color }) => (
          <Tooltip key={name} label={`${name}: ${toMs(ns)}`}>
            <Progress.Section value={(100 * ns) / whole} color={color} aria-label={`Share of ${name}`} />
          </Tooltip>
        ))}
      </Progress.Root>
      <Text size="xs" c="dimmed">
        {parts.map(({ name, ns }) => `${name} ${toMs(ns)}`).join(' · ')}
      </Text>
      <Group gap={6}>
        <Text size="xs" c="dimmed">
          answered by revision
        </Text>
        <Revision revision={revision} />
      </Group>
    </Stack>
  );
}
