// hyparquet is published as ES modules only, which jest does not load by itself.
module.exports = {
  ...require('../../jest.preset.js'),
  displayName: 'evaluation',
  transformIgnorePatterns: ['/node_modules/(?!hyparquet)'],
};
