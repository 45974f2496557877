/** One dimension of quality that a labeller is asked about. */
export interface Capability {
  /** Identifier, e.g. `logic`; it names the expert that learns from the labels. */
  readonly name: string;
  /** One sentence that says what is judged; part of the prompt and of every journal key. */
  readonly definition: string;
}

/** Capabilities by task. Equal names in different tasks are different capabilities. */
export type Taxonomy = Readonly<Record<string, readonly Capability[]>>;

/** The tasks and capability names of the DMoERM paper's release (arXiv 2403.01197); the definitions are this project's. */
export const DEFAULT_TAXONOMY: Taxonomy = {
  roleplay: capabilities({
    character_setting_and_emotional_investment:
      'Stays within the character it was given, in background, knowledge and manner, and shows feelings that fit the scene.',
    conversational_sense:
      'Replies to what was just said in a way that a partner in a real conversation could take up.',
    empathy_ability: "Notices the other's feelings and answers them fittingly.",
    manifestation_of_relationship_traits:
      'Shows in address, tone and shared memories how the character stands to the other.',
    personalized_characteristic_expression:
      "Has a voice of its own: words, habits and views that are this character's and not anybody's.",
    content_richness: 'Brings concrete details, actions or ideas into the scene instead of empty phrases.',
  }),
  chat: capabilities({
    conversational_sense:
      'Replies to what was just said in a way that a partner in a real conversation could take up.',
    proactivity: 'Carries the conversation on by itself with a fitting question, suggestion or new thought.',
    emotion_expression: 'Expresses feelings of its own that fit the situation and sound sincere.',
    empathy_ability: "Notices the other's feelings and answers them fittingly.",
    content_richness: 'Says something of substance, with concrete details or ideas.',
  }),
  subj_qa: capabilities({
    convincing_ability: 'Supports its view with reasons or examples that would convince a sceptical reader.',
    logic: 'Its statements follow from one another and do not contradict each other.',
    viewpoint_richness: 'Considers several different points of view or aspects of the question.',
    breadth_of_knowledge: 'Draws on fitting knowledge from several fields.',
    question_specific: 'Answers exactly the question that was asked, with its particular circumstances.',
  }),
  obj_qa: capabilities({
    correctness: 'The facts and the final answer are right.',
    objectiveness: 'States facts without opinion, bias or invented certainty.',
    reasoning_ability: 'Reaches its answer by sound steps that can be checked.',
    logic: 'Its statements follow from one another and do not contradict each other.',
    depth_of_knowledge: 'Explains the causes, mechanisms or details behind the answer at an expert level.',
    question_specific: 'Answers exactly the question that was asked, with its particular circumstances.',
  }),
  text: capabilities({
    intent_conformity:
      'Does what the request asks for: kind of text, topic, audience, length and every stated condition.',
    expressiveness: 'Chooses vivid, precise and fitting words and figures of speech.',
    readability: 'Can be read easily: clear sentences, an order that guides the reader, no clutter.',
    content_richness: 'Holds concrete details, examples or ideas instead of empty phrases.',
    logic: 'Its parts follow from one another and do not contradict each other.',
  }),
};

function capabilities(definitions: Readonly<Record<string, string>>): Capability[] {
  return Object.entries(definitions).map(([name, definition]) => ({ name, definition }));
}
