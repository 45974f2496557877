import { openBundle } from '@dmoerm/bundle';
import { loadConfig } from '@dmoerm/config';
import { GATEWAY_CONFIG, createGatewayService } from '@dmoerm/service-gateway';
import { ROUTER_CONFIG, createRouterService } from '@dmoerm/service-router';
import type { Service } from '@dmoerm/serving';

/** A service in this process. */
export interface Started {
  readonly service: Service;
  /** host:port. */
  readonly address: string;
}

/** Services of one test file; the last one started is the first to be stopped. */
export class Services {
  private readonly started: Service[] = [];

  /** A gateway; ready, if there is a router to wait for. */
  async gateway(
    router: string,
    flags: readonly string[] = [],
    wait = true,
  ): Promise<Started & { readonly base: string }> {
    const argv = [
      '--router',
      router,
      '--lame-duck-ms',
      '0',
      '--grace-ms',
      '3000',
      '--playground',
      'null',
      ...flags,
    ];
    const service = createGatewayService(loadConfig(GATEWAY_CONFIG, { argv, env: {} }));
    this.started.unshift(service);
    const { address } = await service.start();
    if (wait) await service.ready();
    return { service, address, base: `http://${address}` };
  }

  /** A router in front of these experts and aggregators; ready, if there are any. */
  async router(bundle: string, cacheDir: string, flags: readonly string[], wait = true): Promise<Started> {
    const argv = ['--bundle', bundle, '--lame-duck-ms', '0', '--grace-ms', '3000', ...flags];
    const config = loadConfig(ROUTER_CONFIG, { argv, env: {} });
    const service = createRouterService(config, (reference) => openBundle(reference, { cacheDir }));
    this.started.unshift(service);
    const { address } = await service.start();
    if (wait) await service.ready();
    return { service, address };
  }

  async stop(): Promise<void> {
    for (const service of this.started.splice(0)) await service.stop();
  }
}
