import type { ConfigOption } from '@dmoerm/config';
import { AGGREGATOR_CONFIG } from '@dmoerm/service-aggregator';
import { EXPERT_CONFIG } from '@dmoerm/service-expert';
import { GATEWAY_CONFIG } from '@dmoerm/service-gateway';
import { ROUTER_CONFIG } from '@dmoerm/service-router';
import { z } from 'zod';

/** The services whose settings the chart passes on. */
export const SERVICES = {
  router: ROUTER_CONFIG,
  expert: EXPERT_CONFIG,
  aggregator: AGGREGATOR_CONFIG,
  gateway: GATEWAY_CONFIG,
} as const;

/** Settings that the chart makes from other values, for all services and for one. */
const OWN = {
  all: [
    ...['bundle', 'cacheDir', 'listen', 'healthListen', 'metricsListen', 'readyFile', 'reflection'],
    ...['tlsCert', 'tlsKey', 'tlsClientCa', 'accessFile', 'insecure'],
    ...['otlpEndpoint', 'sampleRatio', 'lameDuckMs', 'graceMs'],
  ],
  router: ['expert', 'taskExperts', 'aggregator', 'peerCa'],
  expert: ['tasks', 'threads'],
  aggregator: [],
  // Its certificate proves who it is; a token in a ConfigMap would be no secret.
  gateway: ['router', 'routerToken', 'peerCa', 'playground'],
} as const;

/** JSON schema of the settings of a service that values may hold, from the service's own definition. */
export function settingsSchema(service: keyof typeof SERVICES): object {
  const own: readonly string[] = [...OWN.all, ...OWN[service]];
  const options: readonly [string, ConfigOption][] = Object.entries(SERVICES[service].options);
  const properties = options
    .filter(([key]) => !own.includes(key))
    .map(([key, { schema, why }]) => {
      const { $schema: _, ...rest } = z.toJSONSchema(schema);
      return [key, { description: why, ...rest }];
    });
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties) as object,
  };
}
