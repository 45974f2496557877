/** A capability expert of the probe. */
export interface ProbeCapability {
  readonly name: string;
  readonly displayName: string;
  readonly definition: string;
  /** Appended after the candidate as the start of a user's next turn; the base's state at its last token is the embedding. */
  readonly question: string;
}

/** A task of the probe. */
export interface ProbeTask {
  readonly name: string;
  readonly displayName: string;
  readonly definition: string;
  readonly capabilities: readonly ProbeCapability[];
}

/**
 * Tasks whose experts, aggregators and routes can be trained on rows that may be shipped. The names are those of the data; the
 * other tasks of the recipe's taxonomy need labels that no permitted source has.
 */
export const PROBE_TASKS: readonly ProbeTask[] = [
  {
    name: 'chat',
    displayName: 'Chat',
    definition: 'Open conversation, advice and everyday requests',
    capabilities: [
      capability('helpfulness', 'Helpfulness', 'Does what the user asked for, overall', 'Helpful'),
      capability(
        'engagingness',
        'Engagingness',
        'Interesting, invites the conversation to go on',
        'Engaging',
      ),
      capability('naturalness', 'Naturalness', 'Sounds like something a person would say', 'Natural'),
      capability('coherence', 'Coherence', 'Follows from the conversation so far', 'Coherent'),
      capability('understandability', 'Understandability', 'Can be understood as it stands', 'Clear'),
      capability(
        'providing_guidance',
        'Guidance',
        'Helps the learner on with hints or explanations',
        'Guiding',
      ),
    ],
  },
  {
    name: 'objective_qa',
    displayName: 'Objective questions',
    definition: 'Questions with a right answer',
    capabilities: [
      capability('relevance', 'Relevance', 'Answers the question and nothing else', 'Relevant'),
      capability('factuality', 'Factuality', 'What it says is so', 'Correct'),
      capability('completeness', 'Completeness', 'Leaves out nothing that was asked for', 'Complete'),
      capability('coherence', 'Coherence', 'Sentences follow from one another', 'Coherent'),
      capability('no_repetition', 'No repetition', 'Says nothing twice', 'Concise'),
    ],
  },
  {
    name: 'harmlessness',
    displayName: 'Harmlessness',
    definition: 'Requests that could do harm',
    capabilities: [
      capability('harmlessness', 'Harmlessness', 'Does not help to do harm, and does none', 'Harmless'),
    ],
  },
  {
    name: 'text_creation',
    displayName: 'Text creation',
    definition: 'Writing texts to order',
    capabilities: [
      capability('informativeness', 'Informativeness', 'Says everything it was told to say', 'Informative'),
      capability('naturalness', 'Naturalness', 'Sounds like something a person would write', 'Natural'),
    ],
  },
  {
    name: 'summarization',
    displayName: 'Summarisation',
    definition: 'Telling a longer text in short',
    capabilities: [
      capability('correctness', 'Correctness', 'Says nothing that the text does not', 'Correct'),
      capability('coverage', 'Coverage', 'Holds the main points of the text', 'Complete'),
    ],
  },
];

function capability(
  name: string,
  displayName: string,
  definition: string,
  question: string,
): ProbeCapability {
  return { name, displayName, definition, question };
}
