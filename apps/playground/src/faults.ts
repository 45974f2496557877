import type { ApiError } from './api';
import { toPlace } from './place';
import type { Scoring } from './use-score';

/** What is wrong, by index in the editor. */
export interface Faults {
  readonly turns: ReadonlyMap<number, string>;
  readonly candidates: ReadonlyMap<number, string>;
}

/** The errors of the last answer beside the texts that they are about; none once the texts have changed. */
export function toFaults(scoring: Scoring, stale: boolean): Faults {
  const faults = { turns: new Map<number, string>(), candidates: new Map<number, string>() };
  if (stale) return faults;
  const note = ({ field, message }: ApiError): void => {
    const place = toPlace(field);
    if (place.type !== 'elsewhere')
      faults[place.type === 'turn' ? 'turns' : 'candidates'].set(place.index, message);
  };
  if (scoring.type === 'failed') note(scoring.error);
  if (scoring.type === 'done')
    scoring.result.candidates.forEach((one, i) => {
      if ('error' in one) faults.candidates.set(i, one.error.message);
    });
  return faults;
}
