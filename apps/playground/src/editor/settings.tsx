import { Input, NativeSelect, SegmentedControl, SimpleGrid, Slider, Stack, Title } from '@mantine/core';
import { useState } from 'react';
import type { Model } from '../api';
import type { Settings } from '../draft';
import { toWords } from '../numbers';

const AGGREGATIONS = [
  { value: 'learned', label: 'learned: the MLP' },
  { value: 'mean', label: 'mean of the experts' },
  { value: 'worst_case', label: 'worst case' },
  { value: 'uncertainty_weighted', label: 'mean less λ × variance' },
];

/** How to score. */
export function SettingsEditor({
  settings,
  tasks,
  onChange,
}: {
  readonly settings: Settings;
  readonly tasks: Model['tasks'];
  readonly onChange: (settings: Settings) => void;
}) {
  const { task, routing, aggregation, truncation } = settings;
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        How to score
      </Title>
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm" verticalSpacing="xs">
        <NativeSelect
          label="Task"
          value={task ?? ''}
          onChange={(event) => onChange({ ...settings, task: event.currentTarget.value || null })}
          data={[
            { value: '', label: 'the router chooses' },
            ...tasks.map(({ name }) => ({ value: name, label: toWords(name) })),
          ]}
        />
        <NativeSelect
          label="Routing"
          disabled={task !== null}
          value={routing}
          onChange={(event) =>
            onChange({ ...settings, routing: event.currentTarget.value as Settings['routing'] })
          }
          data={[
            { value: 'top_1', label: 'the most probable task' },
            { value: 'soft', label: 'the two most probable, weighted' },
          ]}
        />
        <NativeSelect
          label="Aggregation"
          value={aggregation}
          onChange={(event) =>
            onChange({ ...settings, aggregation: event.currentTarget.value as Settings['aggregation'] })
          }
          data={AGGREGATIONS}
        />
        <Stack gap={4}>
          <Input.Label component="div">Too long for the model</Input.Label>
          <SegmentedControl
            aria-label="Too long for the model"
            value={truncation}
            onChange={(value) => onChange({ ...settings, truncation: value })}
            data={[
              { value: 'reject', label: 'an error' },
              { value: 'keep_end', label: 'drop old turns' },
            ]}
          />
        </Stack>
      </SimpleGrid>
      {aggregation === 'uncertainty_weighted' && (
        <Lambda value={settings.lambda} onChange={(lambda) => onChange({ ...settings, lambda })} />
      )}
    </Stack>
  );
}

/** Weight of the variance; counts when the thumb is let go. */
function Lambda({ value, onChange }: { readonly value: number; readonly onChange: (value: number) => void }) {
  const [shown, setShown] = useState(value);
  return (
    <Stack gap={4} pb="md">
      <Input.Label component="div">λ, weight of the variance</Input.Label>
      <Slider
        thumbLabel="λ, weight of the variance"
        min={0}
        max={2}
        step={0.1}
        value={shown}
        onChange={setShown}
        onChangeEnd={onChange}
        marks={[0, 0.5, 1, 2].map((mark) => ({ value: mark, label: String(mark) }))}
      />
    </Stack>
  );
}
