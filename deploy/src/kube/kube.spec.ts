import fc from 'fast-check';
import { parseWarnings } from './api';
import { standAlone } from './tools';

describe('the module in which Kubernetes is compiled', () => {
  const mod = [
    'module k8s.io/kubernetes',
    '',
    'require (',
    '\tk8s.io/api v0.0.0',
    '\tk8s.io/kms v0.0.0 // indirect',
    '\tgithub.com/some/thing v0.0.0-20240101000000-0123456789ab',
    '\tk8s.io/klog/v2 v2.140.0',
    ')',
    '',
    'replace (',
    '\tk8s.io/api => ./staging/src/k8s.io/api',
    ')',
    '',
  ].join('\n');

  it('takes the parts of that release from where they are published, and everything else as it is there', () => {
    expect(standAlone(mod, '1.37.2').split('\n')).toEqual([
      'module dmoerm.dev/kubernetes',
      '',
      'require (',
      '\tk8s.io/api v0.37.2',
      '\tk8s.io/kms v0.37.2 // indirect',
      '\tgithub.com/some/thing v0.0.0-20240101000000-0123456789ab',
      '\tk8s.io/klog/v2 v2.140.0',
      ')',
      '',
      'replace (',
      '\tk8s.io/api => k8s.io/api v0.37.2',
      ')',
      '',
    ]);
  });
});

describe('warnings of the API server', () => {
  it('are read whole, however many, whatever is quoted in them', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (texts) => {
        const header = texts.map((text) => `299 - "${text.replace(/["\\]/g, '\\$&')}"`).join(', ');
        expect(parseWarnings(header)).toEqual(texts);
      }),
    );
  });
});
