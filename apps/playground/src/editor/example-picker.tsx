import { Button, Group, Text } from '@mantine/core';
import { EXAMPLES, type Example } from '../examples';

/** Conversations to begin with. */
export function ExamplePicker({ onPick }: { readonly onPick: (example: Example) => void }) {
  return (
    <Group gap={6} role="group" aria-label="Examples">
      <Text size="sm" c="dimmed">
        Examples
      </Text>
      {EXAMPLES.map((example) => (
        <Button key={example.id} size="compact-xs" variant="default" onClick={() => onPick(example)}>
          {example.id}
        </Button>
      ))}
    </Group>
  );
}
