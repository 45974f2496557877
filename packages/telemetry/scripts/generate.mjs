// Writes src/names.generated.ts and docs/telemetry.md from telemetry.yaml; with --check it only says whether they are fresh.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import prettier from 'prettier';
import { parse } from 'yaml';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { metrics, attributes, events } = parse(readFileSync(here('../telemetry.yaml'), 'utf8'));

/** dmoerm_batch_items -> batchItems, dmoerm.batch.size -> batchSize */
const key = (name) =>
  name
    .replace(/^(dmoerm|gen_ai)[._]/, '')
    .replace(/_total$/, '')
    .replace(/[._](\w)/g, (_, letter) => letter.toUpperCase());

const constants = (declared) =>
  declared.map(({ name, meaning }) => `/** ${meaning} */\n${key(name)}: '${name}',`).join('\n');

const typescript = `// Generated from telemetry.yaml by \`npm run names\`; do not edit.

/** Every metric: its Prometheus name, kind, help text, labels and, for histograms, bucket bounds. */
export const METRICS = {
${metrics
  .map(({ name, type, labels, meaning, buckets, exemplars }) => {
    const fields = {
      name,
      type,
      help: meaning,
      labelNames: labels,
      ...(buckets ? { buckets } : {}),
      ...(exemplars ? { enableExemplars: true } : {}),
    };
    return `/** ${meaning} */\n${key(name)}: ${JSON.stringify(fields)},`;
  })
  .join('\n')}
} as const;

/** Every span attribute of our own. */
export const ATTRIBUTES = {
${constants(attributes)}
} as const;

/** Every event on a span. */
export const EVENTS = {
${constants(events)}
} as const;
`;

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const markdown = `# Telemetry names

Generated from \`packages/telemetry/telemetry.yaml\` by \`npm run names\` there; do not edit.

## Metrics

Served under \`/metrics\`, as OpenMetrics to those that accept it, with exemplars (the trace of a sampled call in each bucket
of \`dmoerm_request_duration_seconds\`), else as Prometheus text; beside them stand the usual \`process_*\` and \`nodejs_*\`.
Each metric also carries \`service\`, the name of the process. No label holds
an item id, a peer's address or anything else that a caller chose freely; prompts and responses are in no metric, span or
log line.

${table(
  ['Name', 'Kind', 'Unit', 'Labels', 'Meaning'],
  metrics.map((m) => [
    `\`${m.name}\``,
    m.type,
    m.unit,
    m.labels.map((l) => `\`${l}\``).join(', ') || '–',
    m.meaning,
  ]),
)}

Dashboards, recording rules and alerts over these: [deploy](../deploy/README.md#dashboards-rules-traces).

## Traces

OTLP over gRPC to \`OTEL_EXPORTER_OTLP_ENDPOINT\` (\`--otlp-endpoint\`), a share of them (\`--sample-ratio\`); a caller's decision wins, and a batch goes with its calls. A collector that is
away costs spans, never calls. What tracing costs is measured by \`npm run faults -- R14 --full\`: at most 5 % of the throughput at 10 % sampling, its last record in [reliability.md](reliability.md).

\`\`\`
client -> router BatchScore -> route
            -> expert Evaluate -> queue  <== links ==>  forward, a trace of its own per batch
            -> aggregator Aggregate
\`\`\`

## Span attributes

Spans of calls carry the RPC semantic conventions (\`rpc.system.name\`, \`rpc.method\`, \`rpc.status_code\`, \`error.type\`,
\`server.address\`, \`server.port\`) and these:

${table(
  ['Name', 'Meaning'],
  attributes.map((a) => [`\`${a.name}\``, a.meaning]),
)}

## Span events

${table(
  ['Name', 'Meaning'],
  events.map((e) => [`\`${e.name}\``, e.meaning]),
)}
`;

let stale = false;
for (const [path, text] of [
  [here('../src/names.generated.ts'), typescript],
  [here('../../../docs/telemetry.md'), markdown],
]) {
  const options = await prettier.resolveConfig(path, { config: here('../../../.prettierrc.json') });
  const wanted = await prettier.format(text, { ...options, filepath: path });
  if (!process.argv.includes('--check')) writeFileSync(path, wanted);
  else if (readFileSync(path, 'utf8') !== wanted) {
    stale = true;
    console.error(`${path} is stale: run npm run names in packages/telemetry`);
  }
}
process.exitCode = stale ? 1 : 0;
