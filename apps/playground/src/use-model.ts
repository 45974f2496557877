import { useEffect, useState } from 'react';
import { getModel, type Model, type Reply } from './api';

/** The model that serves, asked for again with each token and each revision that answers; null until the first answer. */
export function useModel(token: string, revision: string | null): Reply<Model> | null {
  const [model, setModel] = useState<Reply<Model> | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    getModel(token, controller.signal).then(
      (reply) => setModel(reply),
      () => undefined, // ended by the next one
    );
    return () => controller.abort();
  }, [token, revision]);
  return model;
}
