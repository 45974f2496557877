import { Button, Code, CopyButton, Group, ScrollArea, Stack, Tabs, Text, Title } from '@mantine/core';
import type { Item } from './draft';
import { toSnippets } from './snippets';

/** The request of the page as a program. */
export function CopyAs({ item, authorised }: { readonly item: Item; readonly authorised: boolean }) {
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        The same request as a program
      </Title>
      <Tabs defaultValue="curl" keepMounted={false}>
        <Tabs.List>
          {toSnippets(item, location.origin, authorised).map(({ language }) => (
            <Tabs.Tab key={language} value={language}>
              {language}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {toSnippets(item, location.origin, authorised).map(({ language, before, code }) => (
          <Tabs.Panel key={language} value={language} pt="xs">
            <Stack gap="xs">
              <Group justify="space-between" wrap="nowrap" align="flex-start">
                <Text size="xs" c="dimmed">
                  {before}
                </Text>
                <CopyButton value={code}>
                  {({ copied, copy }) => (
                    <Button size="compact-sm" variant="light" onClick={copy} flex="none">
                      {copied ? 'Copied' : `Copy ${language}`}
                    </Button>
                  )}
                </CopyButton>
              </Group>
              <ScrollArea.Autosize mah={240} type="auto" viewportProps={{ tabIndex: 0 }}>
                <Code block>{code}</Code>
              </ScrollArea.Autosize>
            </Stack>
          </Tabs.Panel>
        ))}
      </Tabs>
    </Stack>
  );
}
