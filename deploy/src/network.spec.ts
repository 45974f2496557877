import { keptManifests } from './chart';
import { allows } from './network';
import type { End } from './network';
import { named, podOf } from './objects';

const objects = keptManifests('gpu');
const pod = (labels: Record<string, string>, namespace = 'dmoerm'): End => ({
  type: 'pod',
  namespace,
  labels,
});
const own = (name: string): End => pod(podOf(named(objects, 'Deployment', name)).labels);

const router = own('dmoerm-router');
const expert = own('dmoerm-expert-h100');
const aggregator = own('dmoerm-aggregator');
const gateway = own('dmoerm-gateway');
const trainer = pod({ 'dmoerm.dev/client': 'trainer' }, 'rl');
const operator = pod({ 'dmoerm.dev/client': 'operator' });
const stranger = pod({ app: 'web' }, 'shop');
const prometheus = pod({ 'app.kubernetes.io/name': 'prometheus' }, 'monitoring');
const collector = pod({ 'app.kubernetes.io/name': 'opentelemetry-collector' }, 'observability');
const node: End = { type: 'address', address: '192.0.2.7' };
const internet: End = { type: 'address', address: '203.0.113.9' };

describe('the network policies', () => {
  it.each<[string, End, End, number]>([
    ['trainer -> router', trainer, router, 50051],
    ['trainer -> gateway', trainer, gateway, 8080],
    ['gateway -> router', gateway, router, 50051],
    ['router -> expert', router, expert, 50051],
    ['router -> aggregator', router, aggregator, 50051],
    ['operator -> router', operator, router, 50051],
    ['operator -> expert', operator, expert, 50051],
    ['operator -> aggregator', operator, aggregator, 50051],
    ['router -> collector', router, collector, 4317],
    ['expert -> collector', expert, collector, 4317],
    ['aggregator -> collector', aggregator, collector, 4317],
    ['gateway -> collector', gateway, collector, 4317],
    ['Prometheus -> router', prometheus, router, 9464],
    ['Prometheus -> expert', prometheus, expert, 9464],
    ['Prometheus -> aggregator', prometheus, aggregator, 9464],
    ['Prometheus -> gateway', prometheus, gateway, 9464],
    ['kubelet -> router', node, router, 50052],
    ['kubelet -> expert', node, expert, 50052],
    ['kubelet -> aggregator', node, aggregator, 50052],
  ])('let %s', (_, from, to, port) => {
    expect(allows(objects, 'dmoerm', from, to, port)).toBe(true);
  });

  it.each<[string, End, End, number]>([
    ['trainer -> expert', trainer, expert, 50051],
    ['trainer -> aggregator', trainer, aggregator, 50051],
    ['a stranger -> router', stranger, router, 50051],
    ['a stranger -> gateway', stranger, gateway, 8080],
    [
      'a stranger who takes the operator label elsewhere -> expert',
      pod({ 'dmoerm.dev/client': 'operator' }, 'rl'),
      expert,
      50051,
    ],
    ['gateway -> expert', gateway, expert, 50051],
    ['expert -> router', expert, router, 50051],
    ['expert -> expert', expert, expert, 50051],
    ['aggregator -> expert', aggregator, expert, 50051],
    ['Prometheus -> the API of an expert', prometheus, expert, 50051],
    ['a trainer -> metrics', trainer, router, 9464],
    ['a trainer -> metrics of the gateway', trainer, gateway, 9464],
    ['an expert -> the internet', expert, internet, 443],
    ['the internet -> router', internet, router, 50051],
  ])('do not let %s', (_, from, to, port) => {
    expect(allows(objects, 'dmoerm', from, to, port)).toBe(false);
  });

  it('each carry an edge: without them all of it is open', () => {
    const open = objects.filter(({ kind }) => kind !== 'NetworkPolicy');
    expect(allows(open, 'dmoerm', stranger, expert, 50051)).toBe(true);
    const denied = objects.filter(
      ({ kind, metadata }) => kind !== 'NetworkPolicy' || metadata.name === 'dmoerm-default-deny',
    );
    expect(allows(denied, 'dmoerm', router, expert, 50051)).toBe(false);
  });
});
