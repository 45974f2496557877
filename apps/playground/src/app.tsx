import { Container, Grid, Stack, Text, VisuallyHidden } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { useEffect, useRef, useState } from 'react';
import { CopyAs } from './copy-as';
import { DEFAULTS, toDraft, toItem, type Draft, type Settings } from './draft';
import { CandidatesEditor } from './editor/candidates';
import { ConversationEditor } from './editor/conversation';
import { ExamplePicker } from './editor/example-picker';
import { ScoreButton } from './editor/score-button';
import { SettingsEditor } from './editor/settings';
import { EXAMPLES, type Example } from './examples';
import { Header } from './header';
import { toFaults } from './faults';
import { Outcome } from './result/outcome';
import { spoken } from './result/spoken';
import { Refused } from './refused';
import { useModel } from './use-model';
import { useScore } from './use-score';

/** The page: what to score on one side, what came of it on the other. */
export function App() {
  const [draft, setDraft] = useState<Draft>(() => fromExample(EXAMPLES[0] as Example, DEFAULTS));
  const [token, setToken] = useState('');
  const { scoring, busy, ask } = useScore();
  const model = useModel(token, scoring.type === 'done' ? scoring.result.revision : null);
  const known = model?.type === 'answer' ? model.value : null;

  const item = toItem(draft);
  const stale = scoring.type !== 'none' && JSON.stringify(scoring.item) !== JSON.stringify(item);
  const faults = toFaults(scoring, stale);
  const score = (): void => ask(item, token);
  useHotkeys([['mod+Enter', score]], []);

  // On a narrow screen the scores are below what the reader sees.
  const scores = useRef<HTMLElement>(null);
  useEffect(() => {
    const section = scores.current;
    if (scoring.type !== 'none' && section !== null && section.getBoundingClientRect().top > innerHeight)
      section.scrollIntoView();
  }, [scoring]);

  /** Another way to score the same texts: once they have scores, the new ones come at once. */
  const change = (settings: Settings): void => {
    const next = { ...draft, settings };
    setDraft(next);
    if (scoring.type === 'done' && !stale) ask(toItem(next), token);
  };

  return (
    <Container component="main" size="xl" py="md">
      <Stack gap="lg">
        <Header model={known} />
        {model?.type === 'error' && scoring.type !== 'failed' && (
          <Refused error={model.error} onToken={setToken} />
        )}
        <Grid gap="xl">
          <Grid.Col span={{ base: 12, md: 5 }}>
            <Stack component="section" aria-label="What to score">
              <ExamplePicker onPick={(example) => setDraft(fromExample(example, draft.settings))} />
              <ConversationEditor
                turns={draft.turns}
                faults={faults.turns}
                onChange={(turns) => setDraft({ ...draft, turns })}
              />
              <CandidatesEditor
                candidates={draft.candidates}
                most={known?.limits.max_candidates ?? Infinity}
                faults={faults.candidates}
                onChange={(candidates) => setDraft({ ...draft, candidates })}
              />
              <SettingsEditor settings={draft.settings} tasks={known?.tasks ?? []} onChange={change} />
              <ScoreButton busy={busy} onScore={score} />
            </Stack>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <section ref={scores} aria-label="Scores" aria-busy={busy}>
              <VisuallyHidden aria-live="polite">{spoken(scoring)}</VisuallyHidden>
              {scoring.type === 'none' && (
                <Text c="dimmed">
                  Write a conversation and at least one response to its last turn, or take an example.
                  Ctrl+Enter scores.
                </Text>
              )}
              {scoring.type === 'failed' && <Refused error={scoring.error} onToken={setToken} />}
              {scoring.type === 'done' && <Outcome {...scoring} model={known} stale={stale} />}
            </section>
          </Grid.Col>
        </Grid>
        <CopyAs item={item} authorised={token !== ''} />
      </Stack>
    </Container>
  );
}

function fromExample({ messages, candidates }: Example, settings: Settings): Draft {
  return toDraft(messages, candidates, settings);
}
