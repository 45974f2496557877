import { parseTarget, resolveTarget } from './target';

describe('targets', () => {
  it.each([
    ['127.0.0.1:50051', { type: 'name', host: '127.0.0.1', port: '50051' }],
    ['dns:///experts.svc:50051', { type: 'name', host: 'experts.svc', port: '50051' }],
    ['dns://1.1.1.1/experts:1', { type: 'name', host: 'experts', port: '1' }],
    ['ipv4:127.0.0.1:1,127.0.0.1:2', { type: 'fixed', addresses: ['127.0.0.1:1', '127.0.0.1:2'] }],
  ])('%s', (text, target) => {
    expect(parseTarget(text)).toEqual(target);
  });

  it.each(['', 'host', 'host:', 'a:1,b:2', 'ipv4:a,b:1', 'unix:/tmp/x'])('refuses "%s"', (text) => {
    expect(() => parseTarget(text)).toThrow(expect.objectContaining({ reason: 'BAD_TARGET' }));
  });

  it('a name is all of its addresses', async () => {
    const found = await resolveTarget(parseTarget('experts:7'), async () => ['10.0.0.1', 'fd00::1']);
    expect(found).toEqual(['10.0.0.1:7', '[fd00::1]:7']);
  });
});
