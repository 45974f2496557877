import { checkSecurity } from './security';
import type { SecurityConfig } from './security';

const OPEN: SecurityConfig = {
  listen: '127.0.0.1:0',
  tlsCert: null,
  tlsKey: null,
  tlsClientCa: null,
  accessFile: null,
  insecure: false,
};
const TLS = { tlsCert: 'a.crt', tlsKey: 'a.key' };
const EVERYWHERE = { listen: '0.0.0.0:50051' };

describe('checkSecurity', () => {
  it.each<[string, Partial<SecurityConfig>]>([
    ['this machine alone', {}],
    ['this machine by name', { listen: 'localhost:1' }],
    ['this machine, IPv6', { listen: '[::1]:1' }],
    ['other machines with TLS and identities', { ...EVERYWHERE, ...TLS, accessFile: 'a.yaml' }],
    ['other machines because somebody says so', { ...EVERYWHERE, insecure: true }],
  ])('lets a service listen to %s', (_, config) => {
    expect(() => checkSecurity({ ...OPEN, ...config })).not.toThrow();
  });

  it.each<[string, string, Partial<SecurityConfig>]>([
    ['other machines in plaintext', 'INSECURE_LISTEN', EVERYWHERE],
    ['other machines, IPv6', 'INSECURE_LISTEN', { listen: '[::]:1' }],
    ['a name that may be any machine', 'INSECURE_LISTEN', { listen: 'router.mesh:1' }],
    ['other machines without identities', 'INSECURE_LISTEN', { ...EVERYWHERE, ...TLS }],
    ['other machines with tokens in plaintext', 'INSECURE_LISTEN', { ...EVERYWHERE, accessFile: 'a.yaml' }],
    ['a certificate without its key', 'INCOMPLETE_TLS', { tlsCert: 'a.crt' }],
    ['client certificates without identities', 'INCOMPLETE_TLS', { ...TLS, tlsClientCa: 'ca.crt' }],
  ])('refuses %s', (_, reason, config) => {
    expect(() => checkSecurity({ ...OPEN, ...config })).toThrow(expect.objectContaining({ reason }));
  });
});
