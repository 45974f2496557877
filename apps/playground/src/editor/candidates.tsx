import { Button, CloseButton, ColorSwatch, Group, Stack, Text, Textarea, Title } from '@mantine/core';
import { colorOf, toCss } from '../colors';
import { entry, type Entry } from '../draft';

/** The responses to score. */
export function CandidatesEditor({
  candidates,
  most,
  faults,
  onChange,
}: {
  readonly candidates: readonly Entry[];
  /** That the model takes at once. */
  readonly most: number;
  readonly faults: ReadonlyMap<number, string>;
  readonly onChange: (candidates: readonly Entry[]) => void;
}) {
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        Responses
      </Title>
      {candidates.map(({ key, text }, i) => (
        <Stack key={key} gap={4}>
          <Group justify="space-between">
            <Group gap={6}>
              <ColorSwatch size={12} color={toCss(colorOf(i))} withShadow={false} />
              <Text size="sm">Response {i + 1}</Text>
            </Group>
            {candidates.length > 1 && (
              <CloseButton
                size="sm"
                aria-label={`Remove response ${i + 1}`}
                onClick={() => onChange(candidates.toSpliced(i, 1))}
              />
            )}
          </Group>
          <Textarea
            aria-label={`Response ${i + 1}`}
            placeholder="A response to the last turn"
            autosize
            minRows={2}
            maxRows={12}
            value={text}
            error={faults.get(i)}
            onChange={(event) => onChange(candidates.with(i, { key, text: event.currentTarget.value }))}
          />
        </Stack>
      ))}
      <Group>
        <Button
          size="compact-sm"
          variant="light"
          disabled={candidates.length >= most}
          onClick={() => onChange([...candidates, entry()])}
        >
          Add a response
        </Button>
      </Group>
    </Stack>
  );
}
