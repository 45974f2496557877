/** The compiled addon: build/Release after `npm run build -w native`, or a prebuild of this platform. */
module.exports = require('node-gyp-build')(__dirname);
