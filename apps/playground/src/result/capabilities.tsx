import { BarChart } from '@mantine/charts';
import { Group, SegmentedControl, Stack, Table, Text, Title } from '@mantine/core';
import { useState } from 'react';
import type { Candidate } from '../api';
import { colorOf } from '../colors';
import { toSigned, toWords } from '../numbers';
import { toTable } from './capability-table';

const MEASURES = [
  { value: 'contribution', label: 'Moves the reward by' },
  { value: 'score', label: "The expert's score" },
] as const;
type Measure = (typeof MEASURES)[number]['value'];

/** Ends of the axis: 0 where all bars are on the other side of it. */
const ENDS: [(least: number) => number, (most: number) => number] = [
  (least) => Math.min(0, least),
  (most) => Math.max(0, most),
];

/** What each expert thinks of each response, side by side. */
export function Capabilities({ candidates }: { readonly candidates: readonly Candidate[] }) {
  const [measure, setMeasure] = useState<Measure>('contribution');
  const table = toTable(candidates, measure);
  if (table.rows.length === 0) return null;
  const series = table.columns.map((i) => ({ name: `Response ${i + 1}`, color: colorOf(i) }));
  const data = table.rows.map(({ capability, values }) => ({
    capability: toWords(capability),
    ...Object.fromEntries(series.map(({ name }, j): [string, number | null] => [name, values[j] ?? null])),
  }));
  const what = MEASURES.find(({ value }) => value === measure)?.label ?? '';
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Title order={2} size="h5">
          Capabilities
        </Title>
        <SegmentedControl
          size="xs"
          aria-label="What the bars show"
          value={measure}
          onChange={setMeasure}
          data={[...MEASURES]}
        />
      </Group>
      <Text size="xs" c="dimmed">
        {measure === 'contribution'
          ? 'The reward as it is, less the reward if this expert had said its average.'
          : 'Raw, on a scale of its own: compare responses, not capabilities.'}
      </Text>
      <div role="img" aria-label={`${what}, by capability and response; the table below has the numbers`}>
        <BarChart
          h={40 + table.rows.length * (16 + 14 * series.length)}
          data={data}
          dataKey="capability"
          orientation="vertical"
          series={series}
          xAxisProps={{ domain: ENDS }}
          yAxisProps={{ width: 110 }}
          gridAxis="y"
          referenceLines={[{ x: 0, color: 'gray.6' }]}
          valueFormatter={toSigned}
          barProps={{ isAnimationActive: false }}
          barChartProps={{ accessibilityLayer: false }}
        />
      </div>
      <Table.ScrollContainer minWidth={300} scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}>
        <Table fz="xs" captionSide="top">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{what}</Table.Th>
              {series.map(({ name }) => (
                <Table.Th key={name} ta="right">
                  {name}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {table.rows.map(({ capability, values }) => (
              <Table.Tr key={capability}>
                <Table.Th fw={400}>{toWords(capability)}</Table.Th>
                {values.map((value, j) => (
                  <Table.Td key={series[j]?.name} ta="right">
                    {value === null ? '–' : toSigned(value)}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Stack>
  );
}
