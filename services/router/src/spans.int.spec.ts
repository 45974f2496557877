import { loadConfig } from '@dmoerm/config';
import { commonV1, rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import { SpanKind } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROUTER_CONFIG } from './config';
import { createRouterService } from './service';
import { writeSpecBundle } from './spec-bundle';
import { startSpecAggregator, startSpecExpert } from './spec-peers';

const SECRET = 'a query about silver';
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let directory: string;

beforeAll(async () => {
  logger.level = 'silent';
  provider.register();
  directory = await mkdtemp(join(tmpdir(), 'dmoerm-router-'));
});
afterAll(async () => {
  await provider.shutdown();
  await rm(directory, { recursive: true });
});
beforeEach(() => exporter.reset());

/** All spans of a call that scores two candidates, by a router with these flags. */
async function spansOf(content: string, ...flags: string[]) {
  await using expert = await startSpecExpert();
  await using aggregator = await startSpecAggregator();
  const argv = ['--expert', expert.address, '--aggregator', aggregator.address, '--bundle', 'a'.repeat(64)];
  const config = loadConfig(ROUTER_CONFIG, { argv: [...argv, '--lame-duck-ms', '0', ...flags], env: {} });
  const service = createRouterService(config, (revision) => writeSpecBundle(directory, revision));
  const { address: target } = await service.start();
  const client = connect(rewardV1.RewardServiceService, { target });
  try {
    const messages = [{ role: commonV1.Role.USER, content }];
    await client.call.score(
      rewardV1.ScoreRequest.fromPartial({
        prompt: { $case: 'conversation', value: { messages } },
        candidates: ['four', ''],
      }),
    );
  } finally {
    client.close();
    await service.stop();
  }
  return exporter.getFinishedSpans();
}

async function eventsOf(...flags: string[]) {
  return (await spansOf(SECRET, ...flags))
    .flatMap(({ name, events }) => events.map((event) => ({ span: name, ...event })))
    .filter(({ name }) => name === 'gen_ai.evaluation.result');
}

it('spans of calls carry each capability score where that is asked for, without any text', async () => {
  const events = await eventsOf('--evaluation-events');
  expect(events.map(({ span, attributes }) => [span, attributes?.['gen_ai.evaluation.name']])).toEqual(
    ['truth', 'depth', 'style'].map((name) => ['dmoerm.reward.v1.RewardService/Score', name]),
  );
  expect(events.map(({ attributes }) => attributes?.['gen_ai.evaluation.score.value'])).toEqual([4, 8, 12]);
  expect(events[0]?.attributes?.['gen_ai.response.id']).toMatch(/\/0\/0$/);
  expect(
    JSON.stringify(exporter.getFinishedSpans().map(({ attributes, events: own }) => [attributes, own])),
  ).not.toContain(SECRET);
});

it('and not otherwise', async () => {
  expect(await eventsOf()).toEqual([]);
});

it.each([
  ['a verse, whose task has no aggregator', true],
  [SECRET, undefined],
])('the span of a call tells of a degraded reward: %s', async (content, degraded) => {
  const router = (await spansOf(content)).find(
    ({ name, kind }) => name === 'dmoerm.reward.v1.RewardService/Score' && kind === SpanKind.SERVER,
  );
  expect(router?.attributes['rpc.status_code']).toBe('OK');
  expect(router?.attributes['dmoerm.degraded']).toBe(degraded);
});
