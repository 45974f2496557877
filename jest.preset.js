/** Shared jest settings: swc compiles specs (types are checked by `tsc -b`). */
module.exports = {
  testEnvironment: require.resolve('./tools/jest-environment.js'),
  testMatch: ['**/*.spec.ts'],
  // Cores of shared machines go away for seconds; a test that hangs is found all the same.
  testTimeout: 20_000,
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  transform: {
    '^.+\\.(t|j)s$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript', explicitResourceManagement: true }, target: 'es2022' },
        module: { type: 'commonjs' },
      },
    ],
  },
};
