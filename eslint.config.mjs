// Types, directions between layers (ARCHITECTURE.md), and who alone may touch what.
import nx from '@nx/eslint-plugin';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const LAYERS = ['contract', 'native', 'base', 'platform', 'model', 'library', 'service', 'edge'];

/** A layer sees itself and what lies below; services never see each other; `testing` is for specs, edge rooms and benchmarks. */
const depConstraints = [
  ...LAYERS.map((layer, i) => ({
    sourceTag: `layer:${layer}`,
    onlyDependOnLibsWithTags: [
      ...LAYERS.slice(0, i + (layer === 'service' ? 0 : 1))
        .filter((below) => below !== 'native' || layer === 'platform')
        .map((below) => `layer:${below}`),
      'layer:testing',
    ],
  })),
  { sourceTag: 'layer:testing', onlyDependOnLibsWithTags: LAYERS.map((layer) => `layer:${layer}`) },
];

const only = (name, room) => ({ group: [name, `${name}/*`], message: `Only ${room} imports ${name}.` });
const restricted = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] });

const GRPC = only('@grpc/grpc-js', 'packages/rpc');
const NATIVE = only('@dmoerm/native', 'packages/engine');
const TESTING = {
  group: ['@dmoerm/testing'],
  message: 'For specs and edge rooms only: it would ship fixtures.',
};

export default tseslint.config(
  {
    ignores: [
      '**/node_modules',
      '**/dist',
      '**/src/gen',
      'native/build*',
      '**/goldens',
      '.nx',
      'runs',
      '.tools',
    ],
  },
  {
    files: ['**/*.{ts,tsx}'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    plugins: { '@nx': nx },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@nx/enforce-module-boundaries': ['error', { depConstraints, enforceBuildableLibDependency: false }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/only-throw-error': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      // Objects here are closures and static factories; none of them reads `this`.
      '@typescript-eslint/unbound-method': 'off',
      // An interface that promises a Promise may be kept without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      // `using _permit = ...` holds a resource for the length of a block.
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Only packages/config reads the environment.',
        },
      ],
      ...restricted(GRPC, NATIVE, TESTING),
    },
  },
  {
    files: ['apps/playground/**/*.{ts,tsx}'],
    extends: [reactHooks.configs.flat.recommended],
  },
  { files: ['packages/rpc/**/*.ts'], rules: restricted(NATIVE, TESTING) },
  { files: ['packages/engine/**/*.ts'], rules: restricted(GRPC, TESTING) },
  {
    files: [
      '**/*.spec.ts',
      '**/spec-*.ts',
      '**/spec-support/**/*.ts',
      'e2e/**/*.ts',
      'bench/**/*.ts',
      'deploy/**/*.ts',
    ],
    rules: {
      ...restricted(NATIVE),
      // Jest's asymmetric matchers are typed `any`.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      // A test that skips prints why.
      'no-console': 'off',
    },
  },
  {
    files: [
      'packages/config/**/*.ts',
      '**/*.spec.ts',
      '**/spec-support/**/*.ts',
      'e2e/**/*.ts',
      'bench/**/*.ts',
      'deploy/**/*.ts',
    ],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    // The library's declarations import by paths that do not resolve outside its own tree.
    files: ['packages/tokenizer/src/tokenizer.ts', 'packages/tokenizer/src/gguf-source.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
);
