import fc from 'fast-check';
import { toSnippets } from './snippets';

const MESSAGES = [{ role: 'user', content: 'Why?' }] as const;

describe('toSnippets', () => {
  it('holds any text: the strings of a shell, Python and TypeScript read back to it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const item = { messages: [...MESSAGES], candidates: [text] };
        const [curl, python, typescript] = toSnippets(item, 'http://x', false).map(({ code }) => code);
        const word = /--data-binary '([^]*)'$/.exec(curl ?? '')?.[1]?.replaceAll(`'\\''`, "'");
        expect(JSON.parse(word ?? '')).toEqual({ items: [item] });
        expect(python).toContain(`    ${JSON.stringify(text)},`);
        expect(typescript).toContain(JSON.stringify(text));
      }),
    );
  });

  it('names the token where one is needed, and only there', () => {
    const item = { candidates: ['a'] };
    for (const { code } of toSnippets(item, 'http://x', true)) expect(code).toContain('DMOERM_TOKEN');
    for (const { code } of toSnippets(item, 'http://x', false)) expect(code).not.toContain('TOKEN');
  });
});
