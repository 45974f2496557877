/** A service as a mesh starts and stops it; the services' factories give such. */
export interface MeshPart {
  start(): Promise<{ readonly address: string }>;
  /** Resolves when the service is healthy. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Makes the services of a mesh. They come from the caller: this package imports no service. */
export interface MeshFactories {
  readonly expert: () => MeshPart;
  readonly aggregator: () => MeshPart;
  /** @param peers host:port of each */
  readonly router: (peers: { readonly expert: string; readonly aggregator: string }) => MeshPart;
}

/** A mesh in this process, over loopback gRPC. */
export interface Mesh extends AsyncDisposable {
  /** host:port of each service. */
  readonly addresses: { readonly expert: string; readonly aggregator: string; readonly router: string };
}

/** Starts expert, aggregator and router; returns when all are healthy. If one does not start, the others are stopped. */
export async function startMesh(factories: MeshFactories): Promise<Mesh> {
  const parts: MeshPart[] = [];
  const start = async (part: MeshPart): Promise<string> => {
    parts.unshift(part);
    const { address } = await part.start();
    await part.ready();
    return address;
  };
  // The router first: it must not see its peers go.
  const stop = async (): Promise<void> => {
    for (const part of parts) await part.stop();
  };
  try {
    const expert = await start(factories.expert());
    const aggregator = await start(factories.aggregator());
    const router = await start(factories.router({ expert, aggregator }));
    return { addresses: { expert, aggregator, router }, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
