// Writes examples/recipes/made-up-routes.jsonl: node tools/made-up-routes.mjs > examples/recipes/made-up-routes.jsonl

/**
 * A grammar of prompts written for this project: the permitted data shows each task in one or two forms only (a question always
 * with passages, a text always from a meaning representation), and a router trained on those alone would route by form.
 * `{x}` is replaced by one of the phrases of that name.
 */
const PHRASES = {
  topic: [
    'the tides',
    'photosynthesis',
    'the French Revolution',
    'compound interest',
    'black holes',
    'sourdough bread',
    'vaccines',
    'the water cycle',
    'inflation',
    'plate tectonics',
    'jazz',
    'the immune system',
    'chess openings',
    'electric cars',
    'the Silk Road',
    'coral reefs',
    'solar panels',
    'the stock market',
    'volcanoes',
    'the human heart',
  ],
  place: [
    'Portugal',
    'Kenya',
    'Japan',
    'the Netherlands',
    'Peru',
    'Canada',
    'Vietnam',
    'Iceland',
    'Morocco',
    'New Zealand',
  ],
  who: [
    'my boss',
    'a customer',
    'my landlord',
    'a friend',
    'the hiring manager',
    'my neighbour',
    'the school',
    'my team',
    'a supplier',
    'my sister',
  ],
  kind: [
    'poem',
    'short story',
    'product description',
    'speech',
    'blog post',
    'cover letter',
    'press release',
    'slogan',
    'song',
    'birthday card',
    'newsletter',
    'recipe',
    'haiku',
    'advert',
    'toast',
  ],
  mood: [
    'tired',
    'lonely',
    'excited',
    'bored',
    'nervous',
    'a bit down',
    'happy',
    'overwhelmed',
    'curious',
    'homesick',
  ],
  thing: [
    'my new job',
    'the weekend',
    'my dog',
    'a film I saw',
    'moving house',
    'learning the guitar',
    'my exams',
    'cooking for friends',
    'a long walk',
    'the football last night',
  ],
  text: [
    'article',
    'report',
    'story',
    'chapter',
    'meeting transcript',
    'e-mail thread',
    'paper',
    'review',
    'interview',
    'speech',
  ],
  harm: [
    'pick a lock that is not mine',
    "read someone else's messages",
    'make a weapon',
    'hurt someone',
    'steal a car',
    'get drugs without a prescription',
    'fake a medical note',
    'hack into an account',
    'track my ex without being noticed',
    'avoid paying tax by lying',
    "poison a neighbour's cat",
    'make my coworker lose her job',
  ],
  unit: [
    'kilometres',
    'litres',
    'days',
    'people',
    'degrees',
    'hours',
    'bones',
    'planets',
    'players',
    'states',
  ],
};

const FORMS = {
  chat: [
    'Hi, how are you today?',
    'I feel {mood} and I want to talk about {thing}.',
    'What do you think about {thing}?',
    'Tell me something nice, I am {mood}.',
    'Do you like talking about {thing}?',
    'Any advice on {thing}? I am {mood}.',
    'I just got back from {place} and I am {mood}!',
    'How should I get started with {thing}?',
    'I am {mood} because of {thing}, what should I do?',
    'Can you recommend something to do in {place} this weekend?',
    'Hello there! Shall we chat about {thing}?',
    'My day was long, I am {mood}. And yours?',
    'I cannot decide between {place} and staying home for my holiday.',
    'Can you help me understand {topic}? I keep making mistakes in my homework.',
  ],
  objective_qa: [
    'What is {topic}?',
    'Who discovered {topic}?',
    'When did {topic} begin?',
    'How does {topic} work?',
    'What is the capital of {place}?',
    'How many {unit} are there in {place}?',
    'Why is {topic} important?',
    'What is the difference between {topic} and {topic}?',
    'Explain {topic} to me with facts.',
    'Is it true that {topic} was known two thousand years ago?',
    'Which country is larger, {place} or {place}?',
    'Question: what causes {topic}?',
    'What is the population of {place}?',
    'In what year did {place} become independent?',
    'Who was the first to describe {topic}?',
    'How long does {topic} last, in {unit}?',
  ],
  harmlessness: [
    'How can I {harm}?',
    'Tell me how to {harm} without being caught.',
    'I want to {harm}, what is the best way?',
    'Give me step by step instructions to {harm}.',
    'What do I need if I want to {harm}?',
    'My friend told me to {harm}. How do I do it?',
    'Is there an easy trick to {harm}?',
    'Why should I not {harm}? Just tell me how.',
    'Help me {harm} tonight.',
  ],
  text_creation: [
    'Write a {kind} about {topic}.',
    'Write an e-mail to {who} about {thing}.',
    'Compose a {kind} for {who}.',
    'Please draft a letter to {who} that explains {thing}.',
    'Rewrite this sentence in a friendlier tone: "I need the {text} now."',
    'Create a {kind} that mentions {topic} and {place}.',
    'Come up with ten titles for a {kind} about {place}.',
    'Make this {text} sound more formal.',
    'Generate a {kind} for {who} on {topic}, at most 100 words.',
    'Turn these facts into one sentence: name = {place}, known for = {topic}.',
    'I need a {kind} about {thing}, can you write it?',
    'Write the introduction of a {text} on {topic}.',
  ],
  summarization: [
    'Summarise this {text} in three sentences: {filler}',
    'Please give me a summary of the following {text}. {filler}',
    'What are the main points of this {text}? {filler}',
    'TL;DR of this {text}: {filler}',
    'Shorten the {text} below to its key points.\n\n{filler}',
    'What is the plot of the {text}?',
    'Sum up what the {text} says about {topic}. {filler}',
    'Condense this {text} into bullet points: {filler}',
  ],
};

const FILLER = [
  'It was a long day when the news about {topic} reached {place}.',
  'The author describes how {topic} changed the town.',
  'In {place}, people had talked about {topic} for years.',
  'The committee met and spoke about {thing}.',
  'Nobody expected that {topic} would matter so much.',
  'At the end the two friends agree and go home.',
];

const COUNT = 250;

// mulberry32: the same file in every run.
let state = 1;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const pick = (options) => options[Math.floor(random() * options.length)];
const expand = (form) =>
  form.replace(/\{(\w+)\}/g, (_, name) =>
    name === 'filler'
      ? Array.from({ length: 2 + Math.floor(random() * 4) }, () => expand(pick(FILLER))).join(' ')
      : pick(PHRASES[name]),
  );

const seen = new Set();
for (const [label, forms] of Object.entries(FORMS)) {
  const wanted = seen.size + COUNT;
  for (let tries = 0; seen.size < wanted && tries < 100 * COUNT; tries++) {
    const text = expand(pick(forms));
    if (seen.has(text)) continue;
    seen.add(text);
    const row = {
      source: 'made-up',
      licence: 'Apache-2.0',
      label,
      messages: [{ role: 'user', content: text }],
      split: 'train',
    };
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
