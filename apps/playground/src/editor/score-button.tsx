import { Button, Group, Kbd, Text } from '@mantine/core';

/** Asks for the scores. */
export function ScoreButton({ busy, onScore }: { readonly busy: boolean; readonly onScore: () => void }) {
  return (
    <Group>
      <Button onClick={onScore} loading={busy}>
        Score
      </Button>
      <Text size="sm" c="dimmed" visibleFrom="sm">
        <Kbd>Ctrl</Kbd> + <Kbd>Enter</Kbd>
      </Text>
    </Group>
  );
}
