import { Option, InvalidArgumentError, type Command } from 'commander';

/** The flags of `dmoerm label`, parsed. */
export interface LabelCommandOptions {
  readonly output: string;
  readonly url?: string;
  readonly model?: string;
  readonly taxonomy?: string;
  readonly prices?: string;
  readonly budget?: number;
  readonly concurrency: number;
  readonly rpm?: number;
  readonly tpm?: number;
  readonly timeout: number;
  readonly maxTokens: number;
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens';
  readonly structured: boolean;
  readonly rationale: boolean;
  readonly repeatShare: number;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  readonly json?: string;
}

const HELP = `
Input, a JSON line each:
  {"messages": [...], "responses": ["...", "..."], "task": "chat"}       every pair of responses, every capability of the task
  {"messages": [...], "chosen": "...", "rejected": "...", "task": "chat", "capability": "empathy_ability"}
                                                                         a human label: agreement is measured against it
  prompt_id, split, source and licence may be there too, and are handed on.

Every pair is asked twice with the order swapped. The same winner twice is a label, two ties are a stored tie, anything else is
dropped. Calls per prompt: capabilities x responses x (responses - 1); --dry-run tells them, and the cost.

The folder of --output:
  labels.jsonl      pair records for training; labels.partial.jsonl while answers are missing
  report.json       keep-rate, agreement with people, position bias, cost, by capability
  journal.jsonl     every answer, on disk before it counts; run the same command again to go on after a stop
  audit.jsonl       every answer with its verdict, tries, time and cost. It holds raw replies; never the key
  manifest.json     what was to be asked

Examples:
  export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=...
  dmoerm label pairs.jsonl --output runs/labels --model my-model --dry-run
  dmoerm label pairs.jsonl --output runs/labels --model my-model --prices prices.yaml --budget 5

Exit status: 0 all asked, 1 answers are missing (run again), 2 wrong use or refused by the endpoint, 3 endpoint not reachable.`;

/** Declares the flags. */
export function addLabelOptions(command: Command): Command {
  return command
    .argument('<file>', 'JSON lines (.jsonl or .jsonl.gz), or - for standard input')
    .requiredOption('--output <folder>', 'folder of the journal and the results; made if it is not there')
    .option('--url <address>', 'endpoint before /chat/completions [env OPENAI_BASE_URL]')
    .option('--model <name>', 'model that labels [env DMOERM_LABEL_MODEL]')
    .option(
      '--taxonomy <file>',
      'YAML or JSON, task: [{name, definition}]; default: the 27 capabilities of DMoERM',
    )
    .option(
      '--prices <file>',
      'YAML or JSON, {currency, models: {NAME: {input_per_million, output_per_million}}}',
    )
    .addOption(
      option('--budget <money>', 'stop before this is spent, earlier runs of the folder included', above(0)),
    )
    .addOption(
      option('--concurrency <n>', 'requests at a time; halved when the endpoint says 429', count).default(8),
    )
    .addOption(option('--rpm <n>', 'most requests per minute', above(0)))
    .addOption(option('--tpm <n>', 'most tokens per minute, by estimate', above(0)))
    .addOption(option('--timeout <seconds>', 'longest time for one answer, at most 300', timeout).default(60))
    .addOption(
      option(
        '--max-tokens <n>',
        'most tokens of a reply; a cut reply gets one try with 4 times as many',
        count,
      ).default(128),
    )
    .addOption(
      new Option('--max-tokens-field <name>', 'what the endpoint calls that limit')
        .choices(['max_tokens', 'max_completion_tokens'])
        .default('max_tokens'),
    )
    .option('--no-structured', 'do not send a JSON schema (for endpoints that refuse response_format)')
    .option('--rationale', 'ask for reasons before the verdict; give --max-tokens room for them', false)
    .addOption(
      option(
        '--repeat-share <share>',
        'share of pairs asked again in the same order, to tell order from chance',
        share,
      ).default(0),
    )
    .addOption(
      option(
        '--extra <json>',
        'further members of the request, e.g. {"seed": 1}; null takes one away',
        jsonObject,
      ).default({}, '{}'),
    )
    .option('--dry-run', 'tell how many calls, tokens and how much money; ask nothing', false)
    .option('--json <file>', 'write the report (or, with --dry-run, the estimate) here')
    .addHelpText('after', HELP);
}

function option<T>(flags: string, description: string, parse: (text: string) => T): Option {
  return new Option(flags, description).argParser(parse);
}

function above(bound: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value > bound) return value;
    throw new InvalidArgumentError(`give a number above ${bound}.`);
  };
}

/** The platform's own client gives up on an answer after 300 s. */
function timeout(text: string): number {
  const value = above(0)(text);
  if (value <= 300) return value;
  throw new InvalidArgumentError('give at most 300 seconds.');
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('give a whole number above 0.');
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('give a number from 0 to 1.');
}

/** Members that have a flag of their own, or that would break the count of tokens and money. */
const RESERVED = ['model', 'messages', 'max_tokens', 'max_completion_tokens', 'n', 'stream'];

function jsonObject(text: string): Record<string, unknown> {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // The one message below says what is wanted.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidArgumentError('give a JSON object.');
  const reserved = Object.keys(value).find((name) => RESERVED.includes(name));
  if (reserved !== undefined)
    throw new InvalidArgumentError(`${reserved} is set by dmoerm; see the other flags.`);
  return value as Record<string, unknown>;
}
