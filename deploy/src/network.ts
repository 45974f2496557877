import { ofKind, selects } from './objects';
import type { KubeObject, Labels } from './objects';

/** One end of a connection: a pod, or an address outside of the cluster. */
export type End =
  | { readonly type: 'pod'; readonly namespace: string; readonly labels: Labels }
  | { readonly type: 'address'; readonly address: string };

interface Peer {
  readonly podSelector?: { readonly matchLabels?: Labels };
  readonly namespaceSelector?: { readonly matchLabels?: Labels };
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface Direction {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { readonly protocol: string; readonly port: number }[];
}

interface Policy {
  readonly podSelector: { readonly matchLabels?: Labels };
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Direction[];
  readonly egress?: readonly Direction[];
}

/**
 * Whether NetworkPolicies let `from` open a TCP connection to `to`, as Kubernetes reads them: who is selected by a policy of a direction may
 * do there what one of them allows; who is not may do everything.
 * @param namespace of the policies.
 */
export function allows(
  objects: readonly KubeObject[],
  namespace: string,
  from: End,
  to: End,
  port: number,
): boolean {
  const policies = ofKind(objects, 'NetworkPolicy').map(({ spec }) => spec as unknown as Policy);
  const passes = (self: End, other: End, type: 'Ingress' | 'Egress'): boolean => {
    if (self.type !== 'pod' || self.namespace !== namespace) return true;
    const own = policies.filter(
      ({ podSelector, policyTypes }) =>
        policyTypes.includes(type) && selects(podSelector.matchLabels, self.labels),
    );
    if (own.length === 0) return true;
    return own
      .flatMap(({ ingress = [], egress = [] }) => (type === 'Ingress' ? ingress : egress))
      .some(({ from: sources, to: targets, ports }) => {
        const peers = type === 'Ingress' ? sources : targets;
        const portFits = ports?.some((one) => one.protocol === 'TCP' && one.port === port) ?? true;
        return portFits && (peers?.some((peer) => fits(peer, other, namespace)) ?? true);
      });
  };
  return passes(from, to, 'Egress') && passes(to, from, 'Ingress');
}

function fits({ podSelector, namespaceSelector, ipBlock }: Peer, end: End, namespace: string): boolean {
  if (end.type === 'address')
    return (
      ipBlock !== undefined &&
      inBlock(ipBlock.cidr, end.address) &&
      !ipBlock.except?.some((one) => inBlock(one, end.address))
    );
  if (ipBlock !== undefined) return false;
  const home =
    namespaceSelector === undefined
      ? end.namespace === namespace
      : selects(namespaceSelector.matchLabels, { 'kubernetes.io/metadata.name': end.namespace });
  return home && selects(podSelector?.matchLabels, end.labels);
}

function inBlock(cidr: string, address: string): boolean {
  const [base = '', bits = '32'] = cidr.split('/');
  const shift = 2n ** BigInt(32 - Number(bits));
  return toNumber(base) / shift === toNumber(address) / shift;
}

function toNumber(address: string): bigint {
  return address.split('.').reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}
