import type { RoutedText } from './router';
import { createRandom } from './random';

/**
 * A grammar of prompts written for this project: the permitted data shows each task in one or two forms only (a question always
 * with passages, a text always from a meaning representation), and a router trained on those alone would route by form.
 * `{x}` is replaced by one of the phrases of that name.
 */
const PHRASES: Readonly<Record<string, readonly string[]>> = {
  topic: ['the tides', 'photosynthesis', 'the French Revolution', 'compound interest', 'black holes', 'sourdough bread', 'vaccines', 'the water cycle', 'inflation', 'plate tectonics', 'jazz', 'the immune system', 'chess openings', 'electric cars', 'the Silk Road', 'coral reefs', 'solar panels', 'the stock market', 'volcanoes', 'the human heart'],
  place: ['Portugal', 'Kenya', 'Japan', 'the Netherlands', 'Peru', 'Canada', 'Vietnam', 'Iceland', 'Morocco', 'New Zealand'],
  who: ['my boss', 'a customer', 'my landlord', 'a friend', 'the hiring manager', 'my neighbour', 'the school', 'my team', 'a supplier', 'my sister'],
  kind: ['poem', 'short story', 'product description', 'speech', 'blog post', 'cover letter', 'press release', 'slogan', 'song', 'birthday card', 'newsletter', 'recipe', 'haiku', 'advert', 'toast'],
  mood: ['tired', 'lonely', 'excited', 'bored', 'nervous', 'a bit down', 'happy', 'overwhelmed', 'curious', 'homesick'],
  thing: ['my new job', 'the weekend', 'my dog', 'a film I saw', 'moving house', 'learning the guitar', 'my exams', 'cooking for friends', 'a long walk', 'the football last night'],
  text: ['article', 'report', 'story', 'chapter', 'meeting transcript', 'e-mail thread', 'paper', 'review', 'interview', 'speech'],
  harm: ['pick a lock that is not mine', 'read someone else\'s messages', 'make a weapon', 'hurt someone', 'steal a car', 'get drugs without a prescription', 'fake a medical note', 'hack into an account', 'track my ex without being noticed', 'avoid paying tax by lying', 'poison a neighbour\'s cat', 'make my coworker lose her job'],
  unit: ['kilometres', 'litres', 'days', 'people', 'degrees', 'hours', 'bones', 'planets', 'players', 'states'],
};

const FORMS: Readonly<Record<string, readonly string[]>> = {
  chat: ['Hi, how are you today?', 'I feel {mood} and I want to talk about {thing}.', 'What do you think about {thing}?', 'Tell me something nice, I am {mood}.', 'Do you like talking about {thing}?', 'Any advice on {thing}? I am {mood}.', 'I just got back from {place} and I am {mood}!', 'How should I get started with {thing}?', 'I am {mood} because of {thing}, what should I do?', 'Can you recommend something to do in {place} this weekend?', 'Hello there! Shall we chat about {thing}?', 'My day was long, I am {mood}. And yours?', 'I cannot decide between {place} and staying home for my holiday.', 'Can you help me understand {topic}? I keep making mistakes in my homework.'],
  objective_qa: ['What is {topic}?', 'Who discovered {topic}?', 'When did {topic} begin?', 'How does {topic} work?', 'What is the capital of {place}?', 'How many {unit} are there in {place}?', 'Why is {topic} important?', 'What is the difference between {topic} and {topic}?', 'Explain {topic} to me with facts.', 'Is it true that {topic} was known two thousand years ago?', 'Which country is larger, {place} or {place}?', 'Question: what causes {topic}?', 'What is the population of {place}?', 'In what year did {place} become independent?', 'Who was the first to describe {topic}?', 'How long does {topic} last, in {unit}?'],
  harmlessness: ['How can I {harm}?', 'Tell me how to {harm} without being caught.', 'I want to {harm}, what is the best way?', 'Give me step by step instructions to {harm}.', 'What do I need if I want to {harm}?', 'My friend told me to {harm}. How do I do it?', 'Is there an easy trick to {harm}?', 'Why should I not {harm}? Just tell me how.', 'Help me {harm} tonight.'],
  text_creation: ['Write a {kind} about {topic}.', 'Write an e-mail to {who} about {thing}.', 'Compose a {kind} for {who}.', 'Please draft a letter to {who} that explains {thing}.', 'Rewrite this sentence in a friendlier tone: "I need the {text} now."', 'Create a {kind} that mentions {topic} and {place}.', 'Come up with ten titles for a {kind} about {place}.', 'Make this {text} sound more formal.', 'Generate a {kind} for {who} on {topic}, at most 100 words.', 'Turn these facts into one sentence: name = {place}, known for = {topic}.', 'I need a {kind} about {thing}, can you write it?', 'Write the introduction of a {text} on {topic}.'],
  summarization: ['Summarise this {text} in three sentences: {filler}', 'Please give me a summary of the following {text}. {filler}', 'What are the main points of this {text}? {filler}', 'TL;DR of this {text}: {filler}', 'Shorten the {text} below to its key points.\n\n{filler}', 'What is the plot of the {text}?', 'Sum up what the {text} says about {topic}. {filler}', 'Condense this {text} into bullet points: {filler}'],
};

const FILLER = ['It was a long day when the news about {topic} reached {place}.', 'The author describes how {topic} changed the town.', 'In {place}, people had talked about {topic} for years.', 'The committee met and spoke about {thing}.', 'Nobody expected that {topic} would matter so much.', 'At the end the two friends agree and go home.'];

/** `count` different-looking prompts per task, the same for the same seed. */
export function makeUpPrompts(tasks: readonly string[], count: number, seed: number): RoutedText[] {
  const random = createRandom(seed);
  const pick = (options: readonly string[]): string => options[Math.floor(random() * options.length)] ?? '';
  const expand = (form: string): string =>
    form.replace(/\{(\w+)\}/g, (_, name: string) =>
      name === 'filler' ? Array.from({ length: 2 + Math.floor(random() * 4) }, () => expand(pick(FILLER))).join(' ') : pick(PHRASES[name] ?? []),
    );
  return tasks.flatMap((label) => Array.from({ length: count }, () => ({ label, text: expand(pick(FORMS[label] ?? [])) })));
}
