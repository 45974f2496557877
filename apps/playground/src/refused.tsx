import { Alert, Button, Group, PasswordInput, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import type { ApiError } from './api';

/** Why there is no answer; where the gateway wants to know who asks, a field for a token. The page keeps it until it is closed. */
export function Refused({
  error,
  onToken,
}: {
  readonly error: ApiError;
  readonly onToken: (token: string) => void;
}) {
  return (
    <Alert color="red" variant="light" title={`No answer: ${error.reason}`} role="alert">
      <Stack gap="xs">
        <Text size="sm">{error.message}</Text>
        {error.field !== null && <Text size="sm">Field: {error.field}</Text>}
        {error.code === 'UNAUTHENTICATED' && <TokenForm onToken={onToken} />}
      </Stack>
    </Alert>
  );
}

function TokenForm({ onToken }: { readonly onToken: (token: string) => void }) {
  const [text, setText] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onToken(text.trim());
      }}
    >
      <Group align="flex-end">
        <PasswordInput
          label="API token"
          placeholder="dmoerm_..."
          autoComplete="off"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          flex={1}
        />
        <Button type="submit" disabled={text.trim() === ''}>
          Use it
        </Button>
      </Group>
    </form>
  );
}
