import react from '@vitejs/plugin-react';
import { join } from 'node:path';
import { defineConfig } from 'vite';

/** `npm run dev` takes its answers from a gateway beside it: `npx dmoerm serve`. */
const GATEWAY = 'http://127.0.0.1:8080';

export default defineConfig({
  resolve: { alias: { '#examples': join(import.meta.dirname, '..', '..', 'examples') } },
  plugins: [react()],
  // Mantine and the charts are most of it; a page for people who try a model by hand may weigh that.
  // What is in it, under which licence, goes along.
  build: { chunkSizeWarningLimit: 1200, license: { fileName: 'licences.md' } },
  server: { proxy: { '/v1': GATEWAY, '/openapi.json': GATEWAY }, fs: { allow: ['../..'] } },
});
