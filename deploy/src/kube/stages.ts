/** Pods with this annotation never become ready, as those of a release that does not start. */
export const NEVER_READY = 'dmoerm.dev/never-ready';

/** Time for containers to start and to end, milliseconds: enough for a rollout to have steps that can be seen. */
const START_MS = 700;
const END_MS = 300;

interface Stage {
  readonly kind: 'Node' | 'Pod';
  readonly when: readonly Expression[];
  readonly afterMs?: number;
  readonly next: object;
}

interface Expression {
  readonly key: string;
  readonly operator: 'Exists' | 'DoesNotExist' | 'In' | 'NotIn';
  readonly values?: readonly string[];
}

const NODE_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status';
const LIVES: Expression = { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' };

const containers = (state: string): string => `
containerStatuses:
{{ range .spec.containers }}
- { name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: ${state.startsWith('running')}, restartCount: 0, state: { ${state} } }
{{ end }}`;

const RUNNING = `
{{ $now := Now | Quote }}
phase: Running
startTime: {{ $now }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
conditions:
{{ range $type := list "Initialized" "ContainersReady" "Ready" }}
- { type: {{ $type }}, status: "True", lastTransitionTime: {{ $now }} }
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state: { terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now }}, finishedAt: {{ $now }} } }
{{ end }}
${containers('running: { startedAt: {{ $now }} }')}`;

const SUCCEEDED = `
{{ $now := Now | Quote }}
phase: Succeeded
${containers('terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now }}, finishedAt: {{ $now }} }')}`;

/** What nodes and pods become by themselves: nodes and pods ready, pods of Jobs done, pods that are deleted gone. */
const LIFE: Readonly<Record<string, Stage>> = {
  'node-ready': {
    kind: 'Node',
    when: [{ key: NODE_READY, operator: 'NotIn', values: ['True'] }],
    next: {
      statusTemplate: `
{{ $now := Now | Quote }}
conditions:
{{ range NodeConditions }}
- { type: {{ .type | Quote }}, status: {{ .status | Quote }}, reason: {{ .reason | Quote }}, message: {{ .message | Quote }}, lastHeartbeatTime: {{ $now }}, lastTransitionTime: {{ $now }} }
{{ end }}
addresses:
- { type: InternalIP, address: {{ NodeIP | Quote }} }
`,
    },
  },
  'pod-ready': {
    kind: 'Pod',
    when: [
      LIVES,
      { key: '.status.podIP', operator: 'DoesNotExist' },
      { key: `.metadata.annotations["${NEVER_READY}"]`, operator: 'DoesNotExist' },
    ],
    afterMs: START_MS,
    next: { statusTemplate: RUNNING },
  },
  'pod-done': {
    kind: 'Pod',
    when: [
      LIVES,
      { key: '.status.phase', operator: 'In', values: ['Running'] },
      { key: '.metadata.ownerReferences.[].kind', operator: 'In', values: ['Job'] },
    ],
    afterMs: START_MS,
    next: { statusTemplate: SUCCEEDED },
  },
  'pod-gone': {
    kind: 'Pod',
    when: [{ key: '.metadata.deletionTimestamp', operator: 'Exists' }],
    afterMs: END_MS,
    next: { finalizers: { empty: true }, delete: true },
  },
};

/** The same as kwok reads it, a document each. */
export const STAGES: readonly object[] = Object.entries(LIFE).map(
  ([name, { kind, when, afterMs, next }]) => ({
    apiVersion: 'kwok.x-k8s.io/v1alpha1',
    kind: 'Stage',
    metadata: { name },
    spec: {
      resourceRef: { apiGroup: 'v1', kind },
      selector: { matchExpressions: when },
      ...(afterMs !== undefined && { delay: { durationMilliseconds: afterMs } }),
      next,
    },
  }),
);
