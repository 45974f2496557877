import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** What an identity may do: `trainer` scores, `operator` also swaps models, `service` is a part of the mesh. */
export const ROLES = ['trainer', 'operator', 'service'] as const;

/** One of `ROLES`. */
export type Role = (typeof ROLES)[number];

/** Who calls. */
export interface Identity {
  readonly name: string;
  readonly role: Role;
  /** What it may use per second; null: as much as there is. */
  readonly quota: { readonly items: number | null; readonly tokens: number | null };
}

/** An identity and what proves it. */
export interface KnownIdentity extends Identity {
  /** Subject alternative names of its certificates, e.g. `URI:spiffe://mesh/router`, `DNS:router.mesh`. */
  readonly subjects: readonly string[];
  /** SHA-256 of its API tokens, hexadecimal. */
  readonly tokenDigests: readonly string[];
}

/** What a call brings along. */
export interface Proof {
  /** Subject alternative names of a certificate that TLS has verified, as Node writes them: `DNS:a, URI:b`. */
  readonly subjects: string | undefined;
  /** The `authorization` metadata. */
  readonly authorization: string | undefined;
}

/** Decides who calls. */
export interface Access {
  /** Null if nothing proves an identity. A token counts more than a certificate. */
  identify(proof: Proof): Identity | null;
}

/** Tokens as `createToken` makes them: only such are worth a plain digest. */
const BEARER = /^Bearer (dmoerm_[\w-]{43})$/i;

/** A new API token: 256 random bits, with a prefix by which scanners for leaked secrets find it. */
export function createToken(): string {
  return `dmoerm_${randomBytes(32).toString('base64url')}`;
}

/**
 * SHA-256 of a token, hexadecimal: what an access file holds. A slow hash is for secrets that people choose; these are 256
 * random bits, which nobody finds by trying, and a slow hash for every call would be a way to exhaust the server.
 */
export function digestToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Access for these identities and nobody else. */
export function createAccess(identities: readonly KnownIdentity[]): Access {
  const tokens = identities.flatMap((identity) =>
    identity.tokenDigests.map((digest) => ({ identity, digest: Buffer.from(digest, 'hex') })),
  );
  const bySubject = new Map(
    identities.flatMap((identity) => identity.subjects.map((subject) => [subject, identity] as const)),
  );
  return {
    identify: ({ subjects, authorization }) => {
      if (authorization !== undefined) {
        const [, token] = BEARER.exec(authorization) ?? [];
        if (token === undefined) return null;
        const digest = Buffer.from(digestToken(token), 'hex');
        // Every entry is compared, in constant time: the time of an answer tells nothing of the digests.
        return tokens.filter((entry) => timingSafeEqual(entry.digest, digest))[0]?.identity ?? null;
      }
      // Node puts names in quotes that could be mistaken for two: they match none.
      for (const subject of subjects?.split(', ') ?? []) {
        const identity = bySubject.get(subject);
        if (identity !== undefined) return identity;
      }
      return null;
    },
  };
}
