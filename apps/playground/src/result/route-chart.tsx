import { Badge, Group, Progress, Stack, Text, Title, Tooltip } from '@mantine/core';
import type { Model, Result } from '../api';
import { toPercent, toWords } from '../numbers';

/** How probable each task is, and which was taken. */
export function RouteChart({
  route,
  model,
}: {
  readonly route: NonNullable<Result['route']>;
  readonly model: Model | null;
}) {
  const { task, distribution, fallback } = route;
  const plan = model?.tasks.find(({ name }) => name === task)?.plan;
  const tasks = Object.entries(distribution).sort(([, a], [, b]) => b - a);
  return (
    <Stack gap={6}>
      <Group gap="xs">
        <Title order={2} size="h5">
          Route
        </Title>
        <Badge variant="light">{toWords(task)}</Badge>
        {plan !== undefined && (
          <Text size="xs" c="dimmed">
            experts share the base by the plan {plan}
          </Text>
        )}
        {fallback && (
          <Tooltip label="The router was not sure: the bundle's fallback task">
            <Badge color="yellow">fallback</Badge>
          </Tooltip>
        )}
      </Group>
      {tasks.map(([name, probability]) => (
        <Group key={name} gap="sm" wrap="nowrap">
          <Text size="sm" w={120} fw={name === task ? 700 : 400} truncate>
            {toWords(name)}
          </Text>
          <Progress
            value={100 * probability}
            flex={1}
            size="lg"
            color={name === task ? 'blue' : 'gray.6'}
            aria-label={`Probability of ${toWords(name)}`}
          />
          <Text size="sm" w={44} ta="right">
            {toPercent(probability)}
          </Text>
        </Group>
      ))}
    </Stack>
  );
}
