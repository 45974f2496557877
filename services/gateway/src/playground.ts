import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { existsSync } from 'node:fs';

/** The page loads nothing from elsewhere, calls this server alone, and stands in nobody's frame. */
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** Serves the playground's files at `/`, if the folder is there. They are open to everybody; what the page calls is not. */
export async function servePlayground(app: FastifyInstance, folder: string | null): Promise<void> {
  if (folder === null || !existsSync(folder)) return;
  await app.register(fastifyStatic, {
    root: folder,
    // The files there are at the start, each with a route of its own: no path of a caller is ever looked up.
    wildcard: false,
    setHeaders: (reply) => {
      reply.setHeader('content-security-policy', POLICY);
      reply.setHeader('x-content-type-options', 'nosniff');
      reply.setHeader('referrer-policy', 'no-referrer');
    },
  });
}
