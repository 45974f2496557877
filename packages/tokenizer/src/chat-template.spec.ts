import type { Message } from '@dmoerm/core';
import { openTokenizer } from './open';
import { failure, TokenizerFolders } from './spec-support/folders';

const folders = new TokenizerFolders();
afterAll(() => folders.remove());

const open = (chat_template: string | undefined, config: Record<string, unknown> = {}) =>
  openTokenizer(folders.copy({ config: { ...config, chat_template } }));
const user = (content: string): Message => ({ role: 'user', content });
const QUESTION = [user('What is the answer?')];

const TURNS = "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}";
const WITH_PROMPT = `${TURNS}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}`;

describe('ChatTemplate', () => {
  /** Templates of different habits, and the whole conversation that each renders for one question and one answer. */
  it.each([
    [
      'a generation prompt',
      WITH_PROMPT,
      '<|user|>\nWhat is the answer?<|end|>\n<|assistant|>\nIt is 42.<|end|>',
    ],
    ['no generation prompt', TURNS, '<|user|>\nWhat is the answer?<|end|>\n<|assistant|>\nIt is 42.<|end|>'],
    [
      'an answer that follows the question at once',
      "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[Q] ' + m.content + ' [A]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
      '<|bos|>[Q] What is the answer? [A] It is 42.<|end|>',
    ],
    [
      'thoughts in the generation prompt that conversations do not have',
      `${TURNS}{% if add_generation_prompt %}{{ '<|assistant|>\\n<think>\\n' }}{% endif %}`,
      '<|user|>\nWhat is the answer?<|end|>\n<|assistant|>\nIt is 42.<|end|>',
    ],
    [
      'empty thoughts before the answer that the generation prompt does not have',
      "{% for m in messages %}{{ '<|' + m.role + '|>\\n' }}{% if m.role == 'assistant' and loop.last %}{{ '<think></think>\\n' }}{% endif %}{{ m.content + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
      '<|user|>\nWhat is the answer?<|end|>\n<|assistant|>\n<think></think>\nIt is 42.<|end|>',
    ],
    [
      'text between the answer and the end',
      "{% for m in messages %}{{ '<|' + m.role + '|> ' + m.content + ' (over)<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
      '<|user|> What is the answer? (over)<|end|><|assistant|> It is 42. (over)<|end|>',
    ],
  ])(
    'puts prompt and answer together as the whole conversation is rendered: %s',
    async (_, source, whole) => {
      const { tokenizer, template } = await open(source);
      const ids = [...template.promptTokens(QUESTION), ...template.candidateTokens('It is 42.')];
      expect(ids).toEqual(tokenizer.encodeRendered(whole));
      expect(ids.at(-1)).toBe(template.endTokenId);
      expect(template.origin).toBe('base');
    },
  );

  it('renders an answer as the template does: trimmed, if it trims', async () => {
    const trimming = WITH_PROMPT.replace('m.content', '(m.content | trim)');
    const { template } = await open(trimming);
    expect(template.candidateTokens('  padded \n')).toEqual(template.candidateTokens('padded'));
    const plain = (await open(WITH_PROMPT)).template;
    expect(plain.candidateTokens('  padded \n')).not.toEqual(plain.candidateTokens('padded'));
  });

  it('takes off the characters that a template names, not all blanks', async () => {
    const { template, tokenizer } = await open(
      WITH_PROMPT.replace('m.content', "m.content.strip('\\n').lstrip('x').rstrip('yz')"),
    );
    const ids = template.candidateTokens('\n\nxx  kept zyz\n');
    expect(ids).toEqual([...tokenizer.encode('  kept '), template.endTokenId]);
  });

  it('tells the same date every day', async () => {
    const { template, tokenizer } = await open(`{{ strftime_now('%d %b %Y') }}${WITH_PROMPT}`);
    const date = tokenizer.encode('26 Jul 2024');
    expect(template.promptTokens(QUESTION).slice(0, date.length)).toEqual(date);
  });

  it('falls back to plain turns for a base without a template', async () => {
    const { template, tokenizer } = await open(undefined);
    expect(template.origin).toBe('plain');
    const conversation = [user('Hi'), { role: 'assistant', content: 'Hello' } as const, user('Bye')];
    const whole = '<|bos|>User: Hi\n\nAssistant: Hello<|end|>\n\nUser: Bye\n\nAssistant: Ciao<|end|>';
    expect([...template.promptTokens(conversation), ...template.candidateTokens('Ciao')]).toEqual(
      tokenizer.encodeRendered(whole),
    );
  });

  it('has a digest of its text and special tokens', async () => {
    const digest = async (source: string | undefined, config = {}) =>
      (await open(source, config)).template.digest;
    const one = await digest(WITH_PROMPT);
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(await digest(WITH_PROMPT, { model_max_length: 7 })).toBe(one);
    const others = [
      await digest(TURNS),
      await digest(undefined),
      await digest(WITH_PROMPT, { bos_token: '<|user|>' }),
    ];
    expect(new Set([one, ...others]).size).toBe(4);
  });

  it('says that a template refuses a conversation, without quoting it', async () => {
    const { template } = await open(
      `{% if messages[0].content == 'secret' %}{{ raise_exception(messages[0].content) }}{% endif %}${WITH_PROMPT}`,
    );
    const error = await failure(() => template.promptTokens([user('secret')]));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'TEMPLATE_REFUSED' });
    expect(error.message).not.toContain('secret');
    expect(error.cause).toBeUndefined();
    expect(template.promptTokens(QUESTION).length).toBeGreaterThan(0);
  });

  it('refuses templates that are broken, drop the answer or never end a turn', async () => {
    expect(await failure(() => open('{% for %}'))).toMatchObject({
      code: 'DATA_LOSS',
      reason: 'BAD_TEMPLATE',
    });
    expect(await failure(() => open('nothing'))).toMatchObject({ reason: 'UNSUPPORTED_TEMPLATE' });
    const endless = '{% for m in messages %}{{ m.role + m.content }}{% endfor %}';
    expect(await failure(() => open(endless, { eos_token: null }))).toMatchObject({
      reason: 'UNSUPPORTED_TEMPLATE',
    });
    expect((await open(endless)).template.endTokenId).toBe(3);
  });

  it('refuses texts beyond its limit', async () => {
    const { template } = await open(WITH_PROMPT);
    const long = 'a'.repeat(250_001);
    expect(await failure(() => template.promptTokens([user(long)]))).toMatchObject({
      reason: 'TEXT_TOO_LONG',
    });
    const turns = [
      user(long.slice(1000)),
      { role: 'assistant', content: 'a'.repeat(1000) } as const,
      user('x'),
    ];
    expect(await failure(() => template.promptTokens(turns))).toMatchObject({ reason: 'TEXT_TOO_LONG' });
    expect(await failure(() => template.candidateTokens(long))).toMatchObject({ reason: 'TEXT_TOO_LONG' });
  });
});
