import { mayShip, type Dataset } from '@dmoerm/dataset';

/** What the licences of the data ask to be told to whoever gets the weights: sources and licences of the rows behind them. */
export function writeNotice(data: Dataset): string {
  const rows = [...data.preferences, ...data.capabilityPairs, ...data.ratings].filter(mayShip);
  const origins = [...new Set(rows.map(({ source, licence }) => `- ${source}: ${licence}`))].sort();
  return [
    '# Notice',
    '',
    'The heads, aggregators and router of this bundle were fitted on rows of these public data sets, each under the licence that',
    'stands beside it. The data was re-split, filtered and turned into pairs of responses; none of it is part of the bundle.',
    '',
    ...origins,
    '',
    'MIT-repository: the licence of the repository that carries the annotations (UniEval). CC-BY-4.0: SQuALITY human evaluation.',
    'CC-BY-SA-4.0: MRBench V2; what is adapted from it may be shared under the same licence.',
    '',
  ].join('\n');
}
