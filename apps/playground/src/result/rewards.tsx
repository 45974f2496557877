import { Badge, Card, ColorSwatch, Group, SimpleGrid, Stack, Text, Title, Tooltip } from '@mantine/core';
import type { Candidate, Score } from '../api';
import { colorOf, toCss } from '../colors';
import { toCount, toPlain, toSigned } from '../numbers';
import { ranks } from './ranks';

/** A card per response: its reward, or why it has none. */
export function Rewards({ candidates }: { readonly candidates: readonly Candidate[] }) {
  const places = ranks(candidates.map((one) => ('error' in one ? null : one.reward)));
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        Rewards
      </Title>
      <SimpleGrid cols={{ base: 1, xs: 2, lg: 3 }} spacing="sm">
        {candidates.map((one, i) => (
          <Card
            key={i}
            withBorder
            padding="sm"
            component="article"
            aria-label={`Scores of response ${i + 1}`}
          >
            <Group justify="space-between" mb={4}>
              <Group gap={6}>
                <ColorSwatch size={12} color={toCss(colorOf(i))} withShadow={false} />
                <Text size="sm">Response {i + 1}</Text>
              </Group>
              {places[i] === 1 && candidates.length > 1 && (
                <Badge color="teal.9" c="white">
                  best
                </Badge>
              )}
            </Group>
            {'error' in one ? <NoReward {...one.error} /> : <Reward {...one} />}
          </Card>
        ))}
      </SimpleGrid>
    </Stack>
  );
}

function NoReward({ reason, message }: { readonly reason: string; readonly message: string }) {
  return (
    <Stack gap={4}>
      <Text fw={600}>no reward</Text>
      <Text size="sm">{message}</Text>
      <Text size="xs" c="dimmed">
        {reason}
      </Text>
    </Stack>
  );
}

function Reward({ reward, uncertainty, token_count, truncated, degraded }: Score) {
  return (
    <Stack gap={4}>
      <Group gap={6} align="baseline">
        <Text fz={28} fw={700} lh={1.1} data-reward={reward}>
          {toSigned(reward)}
        </Text>
        <Tooltip label="Standard deviation over the aggregator's heads">
          <Text c="dimmed">± {toPlain(uncertainty.heads)}</Text>
        </Tooltip>
      </Group>
      <Text size="xs" c="dimmed">
        experts differ by {toPlain(uncertainty.experts)} · {toCount(token_count)} tokens
      </Text>
      {(truncated || degraded) && (
        <Group gap={6}>
          {truncated && (
            <Tooltip label="Old turns were dropped to fit the model">
              <Badge color="yellow">truncated</Badge>
            </Tooltip>
          )}
          {degraded && (
            <Tooltip label="A part of the model was missing; a lesser rule gave this reward">
              <Badge color="red">degraded</Badge>
            </Tooltip>
          )}
        </Group>
      )}
    </Stack>
  );
}
