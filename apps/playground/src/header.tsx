import {
  Badge,
  Code,
  CopyButton,
  Group,
  SegmentedControl,
  Stack,
  Text,
  Title,
  Tooltip,
  UnstyledButton,
  useMantineColorScheme,
} from '@mantine/core';
import type { Model } from './api';
import { toCount } from './numbers';

/** Of a revision that are shown. */
const DIGITS = 12;

/** What serves, and the colours of the page. */
export function Header({ model }: { readonly model: Model | null }) {
  return (
    <Group component="header" justify="space-between" align="flex-start">
      <Stack gap={4}>
        <Group gap="xs">
          <Title order={1} size="h2">
            dmoerm
          </Title>
          {model !== null && <Badge variant="light">{model.name}</Badge>}
        </Group>
        {model === null ? (
          <Text size="sm" c="dimmed">
            A mixture-of-experts reward model
          </Text>
        ) : (
          <Group gap="xs">
            <Revision revision={model.revision} />
            <Text size="sm" c="dimmed">
              {model.tasks.length} tasks, conversations of up to {toCount(model.limits.max_tokens)} tokens
            </Text>
          </Group>
        )}
      </Stack>
      <ColorScheme />
    </Group>
  );
}

/** The first digits of a revision; a click copies all of them. */
export function Revision({ revision }: { readonly revision: string }) {
  return (
    <CopyButton value={revision}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'copied' : 'copy the revision'}>
          <UnstyledButton onClick={copy} aria-label={`${revision.slice(0, DIGITS)}: copy the whole revision`}>
            <Code>{revision.slice(0, DIGITS)}</Code>
          </UnstyledButton>
        </Tooltip>
      )}
    </CopyButton>
  );
}

function ColorScheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      size="xs"
      aria-label="Colours"
      value={colorScheme}
      onChange={(value) => setColorScheme(value)}
      data={[
        { value: 'light', label: 'Light' },
        { value: 'dark', label: 'Dark' },
        { value: 'auto', label: 'System' },
      ]}
    />
  );
}
