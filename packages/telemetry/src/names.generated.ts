// Generated from telemetry.yaml by `npm run names`; do not edit.

/** Every metric: its Prometheus name, kind, help text, labels and, for histograms, bucket bounds. */
export const METRICS = {
  /** Time from a call's arrival to its status, by full method name (over HTTP, verb and path) and gRPC status name. */
  requestDurationSeconds: {
    name: 'dmoerm_request_duration_seconds',
    type: 'histogram',
    help: "Time from a call's arrival to its status, by full method name (over HTTP, verb and path) and gRPC status name.",
    labelNames: ['method', 'code'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    enableExemplars: true,
  },
  /** Calls that have arrived and have no status yet; health and reflection are not counted. */
  inflightRequests: {
    name: 'dmoerm_inflight_requests',
    type: 'gauge',
    help: 'Calls that have arrived and have no status yet; health and reflection are not counted.',
    labelNames: [],
  },
  /** 1 from the start of a drain on. */
  draining: {
    name: 'dmoerm_draining',
    type: 'gauge',
    help: '1 from the start of a drain on.',
    labelNames: [],
  },
  /** 99th percentile of the event loop's delay since the last scrape. */
  eventLoopLagSeconds: {
    name: 'dmoerm_event_loop_lag_seconds',
    type: 'gauge',
    help: "99th percentile of the event loop's delay since the last scrape.",
    labelNames: [],
  },
  /** Candidates that got a reward. */
  candidates: {
    name: 'dmoerm_candidates_total',
    type: 'counter',
    help: 'Candidates that got a reward.',
    labelNames: ['task'],
  },
  /** Candidates that got an error, by its reason. */
  candidateErrors: {
    name: 'dmoerm_candidate_errors_total',
    type: 'counter',
    help: 'Candidates that got an error, by its reason.',
    labelNames: ['task', 'reason'],
  },
  /** Items waiting for a batch. */
  queueItems: {
    name: 'dmoerm_queue_items',
    type: 'gauge',
    help: 'Items waiting for a batch.',
    labelNames: ['task'],
  },
  /** Tokens of the items waiting for a batch; the scaling signal. */
  queueTokens: {
    name: 'dmoerm_queue_tokens',
    type: 'gauge',
    help: 'Tokens of the items waiting for a batch; the scaling signal.',
    labelNames: ['task'],
  },
  /** Time from admission to the start of the batch. */
  queueWaitSeconds: {
    name: 'dmoerm_queue_wait_seconds',
    type: 'histogram',
    help: 'Time from admission to the start of the batch.',
    labelNames: ['task'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  /** Items dropped before the forward pass because their deadline had passed or their caller had gone. */
  queueExpired: {
    name: 'dmoerm_queue_expired_total',
    type: 'counter',
    help: 'Items dropped before the forward pass because their deadline had passed or their caller had gone.',
    labelNames: ['task', 'reason'],
  },
  /** Items refused at admission. */
  shed: {
    name: 'dmoerm_shed_total',
    type: 'counter',
    help: 'Items refused at admission.',
    labelNames: ['task', 'reason'],
  },
  /** Items of the task per batch. */
  batchItems: {
    name: 'dmoerm_batch_items',
    type: 'histogram',
    help: 'Items of the task per batch.',
    labelNames: ['task'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  /** Tokens of the task per batch. */
  batchTokens: {
    name: 'dmoerm_batch_tokens',
    type: 'histogram',
    help: 'Tokens of the task per batch.',
    labelNames: ['task'],
    buckets: [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768],
  },
  /** Time in the native engine of one batch that held items of the task. */
  forwardDurationSeconds: {
    name: 'dmoerm_forward_duration_seconds',
    type: 'histogram',
    help: 'Time in the native engine of one batch that held items of the task.',
    labelNames: ['task', 'backend'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  /** Attempts of calls to a replica, by the service and `ok`, `overtaken` by another attempt, or the status in lower case. */
  attempts: {
    name: 'dmoerm_attempts_total',
    type: 'counter',
    help: 'Attempts of calls to a replica, by the service and `ok`, `overtaken` by another attempt, or the status in lower case.',
    labelNames: ['peer', 'outcome'],
  },
  /** Second attempts made because the first was late; outcomes as for attempts. */
  hedges: {
    name: 'dmoerm_hedges_total',
    type: 'counter',
    help: 'Second attempts made because the first was late; outcomes as for attempts.',
    labelNames: ['peer', 'outcome'],
  },
  /** Standardised score of one capability expert; its drift is the point. */
  capabilityScore: {
    name: 'dmoerm_capability_score',
    type: 'histogram',
    help: 'Standardised score of one capability expert; its drift is the point.',
    labelNames: ['task', 'capability'],
    buckets: [-4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4],
  },
  /** Standard deviation over the experts' standardised scores of one candidate, their disagreement. */
  expertSpread: {
    name: 'dmoerm_expert_spread',
    type: 'histogram',
    help: "Standard deviation over the experts' standardised scores of one candidate, their disagreement.",
    labelNames: ['task'],
    buckets: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 3],
  },
  /** Neighbouring candidates of an item that differ in length and reward, by whether the `longer` or the `shorter` one has the larger reward. */
  lengthPairs: {
    name: 'dmoerm_length_pairs_total',
    type: 'counter',
    help: 'Neighbouring candidates of an item that differ in length and reward, by whether the `longer` or the `shorter` one has the larger reward.',
    labelNames: ['task', 'preferred'],
  },
  /** Rewards from a lesser rule because a part of the model was missing. */
  degraded: {
    name: 'dmoerm_degraded_total',
    type: 'counter',
    help: 'Rewards from a lesser rule because a part of the model was missing.',
    labelNames: ['task', 'stage'],
  },
  /** Candidates refused because a value was NaN or infinite. */
  nonfinite: {
    name: 'dmoerm_nonfinite_total',
    type: 'counter',
    help: 'Candidates refused because a value was NaN or infinite.',
    labelNames: ['task', 'stage'],
  },
  /** 1 for the revision that serves by default. */
  revisionInfo: {
    name: 'dmoerm_revision_info',
    type: 'gauge',
    help: '1 for the revision that serves by default.',
    labelNames: ['revision'],
  },
  /** Activations of a bundle. */
  swaps: {
    name: 'dmoerm_swaps_total',
    type: 'counter',
    help: 'Activations of a bundle.',
    labelNames: ['outcome'],
  },
  /** Bundles refused at load, by the reason of the error. */
  bundlesRejected: {
    name: 'dmoerm_bundles_rejected_total',
    type: 'counter',
    help: 'Bundles refused at load, by the reason of the error.',
    labelNames: ['outcome'],
  },
  /** Steps that `dmoerm train` has made of a unit (`task/capability`), those before a restart too. */
  trainingStep: {
    name: 'dmoerm_training_step',
    type: 'gauge',
    help: 'Steps that `dmoerm train` has made of a unit (`task/capability`), those before a restart too.',
    labelNames: ['unit'],
  },
  /** Pairs that a unit has learned from in this process; of a language model, sequences. */
  trainingExamples: {
    name: 'dmoerm_training_examples_total',
    type: 'counter',
    help: 'Pairs that a unit has learned from in this process; of a language model, sequences.',
    labelNames: ['unit'],
  },
  /** Loss of the last step, a mean over its prompts. */
  trainingLoss: {
    name: 'dmoerm_training_loss',
    type: 'gauge',
    help: 'Loss of the last step, a mean over its prompts.',
    labelNames: ['unit'],
  },
  /** Norm of the last step's gradient, before it was clipped. */
  trainingGradientNorm: {
    name: 'dmoerm_training_gradient_norm',
    type: 'gauge',
    help: "Norm of the last step's gradient, before it was clipped.",
    labelNames: ['unit'],
  },
  /** Learning rate of the last step. */
  trainingLearningRate: {
    name: 'dmoerm_training_learning_rate',
    type: 'gauge',
    help: 'Learning rate of the last step.',
    labelNames: ['unit'],
  },
  /** Loss on validation at the last evaluation. */
  trainingValidationLoss: {
    name: 'dmoerm_training_validation_loss',
    type: 'gauge',
    help: 'Loss on validation at the last evaluation.',
    labelNames: ['unit'],
  },
  /** Share of the validation pairs that are decided as their label says, at the last evaluation; a language model has none. */
  trainingValidationAccuracy: {
    name: 'dmoerm_training_validation_accuracy',
    type: 'gauge',
    help: 'Share of the validation pairs that are decided as their label says, at the last evaluation; a language model has none.',
    labelNames: ['unit'],
  },
  /** Share of the unit's epochs that is done; 1 when it has stopped, early or not. */
  trainingProgressRatio: {
    name: 'dmoerm_training_progress_ratio',
    type: 'gauge',
    help: "Share of the unit's epochs that is done; 1 when it has stopped, early or not.",
    labelNames: ['unit'],
  },
  /** Time to the end of the unit's last epoch at the pace since the process began to learn it; stopping early is sooner. */
  trainingRemainingSeconds: {
    name: 'dmoerm_training_remaining_seconds',
    type: 'gauge',
    help: "Time to the end of the unit's last epoch at the pace since the process began to learn it; stopping early is sooner.",
    labelNames: ['unit'],
  },
} as const;

/** Every span attribute of our own. */
export const ATTRIBUTES = {
  /** Task of the item; on a forward pass the tasks of its items, separated by commas. */
  task: 'dmoerm.task',
  /** Revision that answered. */
  revision: 'dmoerm.revision',
  /** Id of the request, the same on every hop. */
  requestId: 'dmoerm.request.id',
  /** Number of the attempt, from 1; more than 1 after a retry. */
  attempt: 'dmoerm.attempt',
  /** Items in the batch. */
  batchSize: 'dmoerm.batch.size',
  /** Tokens in the batch. */
  batchTokens: 'dmoerm.batch.tokens',
  /** On a queue span, the span id of the forward pass that took the item. */
  batchSpanId: 'dmoerm.batch.span_id',
  /** Calls of a batch beyond the 128 span links. */
  batchLinksDropped: 'dmoerm.batch.links_dropped',
  /** On a forward pass, the tokens that the engine computed. */
  usageInputTokens: 'gen_ai.usage.input_tokens',
  /** Time in the queue, milliseconds. */
  queueWaitMs: 'dmoerm.queue.wait_ms',
  /** True on the router's span of a call with a reward that a lesser rule gave; absent otherwise. */
  degraded: 'dmoerm.degraded',
} as const;

/** Every event on a span. */
export const EVENTS = {
  /** On the router's span of a call, one per candidate and capability, only where `evaluationEvents` is on: `gen_ai.evaluation.name` (the capability), `gen_ai.evaluation.score.value` (its raw score), `gen_ai.response.id` (request id, item, candidate). */
  evaluationResult: 'gen_ai.evaluation.result',
} as const;
