import { DmoermError } from '@dmoerm/core';
import type { Identity } from '@dmoerm/rpc';

/** What was saved up by asking for nothing may be used at once, in seconds of the quota. */
const BURST_S = 10;

/** Sums of many small amounts are off by less: who waited the time that was named has paid. */
const ROUNDING_MS = 1e-3;

/**
 * What identities use, against what they may use per second. Work is let in while the caller has no debt, and is charged
 * for what it turns out to be: tokens are known only after the answer, and a call larger than the quota must not wait for
 * ever.
 */
export class Quotas {
  private readonly accounts = new Map<string, { readonly items: Account; readonly tokens: Account }>();

  /** @param now milliseconds; a clock that never goes back. */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @throws DmoermError RESOURCE_EXHAUSTED, reason `QUOTA_EXCEEDED`, with the time after which the debt is paid. */
  check(identity: Identity | null): void {
    if (identity === null) return;
    const { items, tokens } = this.account(identity);
    const debtMs = Math.max(items.debtMs(identity.quota.items), tokens.debtMs(identity.quota.tokens));
    if (debtMs === 0) return;
    throw new DmoermError({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUOTA_EXCEEDED',
      message: `${identity.name} has used up its quota; wait, or ask the operators for a larger one`,
      retryAfterMs: Math.ceil(debtMs),
    });
  }

  /** Charges items that are let in. */
  take(identity: Identity | null, items: number): void {
    if (identity !== null) this.account(identity).items.use(items);
  }

  /** Charges the tokens of answers. */
  charge(identity: Identity | null, tokens: number): void {
    if (identity !== null) this.account(identity).tokens.use(tokens);
  }

  private account({ name }: Identity): { readonly items: Account; readonly tokens: Account } {
    const account = this.accounts.get(name) ?? {
      items: new Account(this.now),
      tokens: new Account(this.now),
    };
    this.accounts.set(name, account);
    return account;
  }
}

/** A balance that grows with time; the rate comes with each question, for the access file may change it. */
class Account {
  private used = 0;
  private settledAt: number;

  constructor(private readonly now: () => number) {
    this.settledAt = now();
  }

  use(amount: number): void {
    this.used += amount;
  }

  /** Milliseconds until what was used is paid at `perSecond`, less what may be used at once; 0 without a quota. */
  debtMs(perSecond: number | null): number {
    const now = this.now();
    const elapsedS = (now - this.settledAt) / 1e3;
    this.settledAt = now;
    if (perSecond === null) {
      this.used = 0;
      return 0;
    }
    this.used = Math.max(0, this.used - elapsedS * perSecond);
    const debtMs = (this.used / perSecond - BURST_S) * 1e3;
    return debtMs > ROUNDING_MS ? debtMs : 0;
  }
}
