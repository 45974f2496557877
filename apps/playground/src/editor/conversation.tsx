import { Button, CloseButton, Group, NativeSelect, Stack, Textarea, Title } from '@mantine/core';
import { entry, nextRole, type Message, type Turn } from '../draft';

const ROLES = ['system', 'user', 'assistant'] as const satisfies readonly Message['role'][];

/** The turns before the responses. */
export function ConversationEditor({
  turns,
  faults,
  onChange,
}: {
  readonly turns: readonly Turn[];
  readonly faults: ReadonlyMap<number, string>;
  readonly onChange: (turns: readonly Turn[]) => void;
}) {
  const put = (i: number, change: Partial<Turn>): void =>
    onChange(turns.map((turn, j) => (i === j ? { ...turn, ...change } : turn)));
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        Conversation
      </Title>
      {turns.map(({ key, role, text }, i) => (
        <Stack key={key} gap={4}>
          <Group justify="space-between">
            <NativeSelect
              size="xs"
              aria-label={`Role of turn ${i + 1}`}
              data={ROLES}
              value={role}
              onChange={(event) => put(i, { role: event.currentTarget.value as Message['role'] })}
            />
            {turns.length > 1 && (
              <CloseButton
                size="sm"
                aria-label={`Remove turn ${i + 1}`}
                onClick={() => onChange(turns.toSpliced(i, 1))}
              />
            )}
          </Group>
          <Textarea
            aria-label={`Turn ${i + 1}`}
            placeholder={role === 'system' ? 'Instructions' : 'What was said'}
            autosize
            minRows={2}
            maxRows={12}
            value={text}
            error={faults.get(i)}
            onChange={(event) => put(i, { text: event.currentTarget.value })}
          />
        </Stack>
      ))}
      <Group>
        <Button
          size="compact-sm"
          variant="light"
          onClick={() => onChange([...turns, { ...entry(), role: nextRole(turns) }])}
        >
          Add a turn
        </Button>
      </Group>
    </Stack>
  );
}
