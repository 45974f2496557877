export { GATEWAY_CONFIG } from './config';
export type { GatewayConfig } from './config';
export { readDocument } from './document';
export type { ApiDocument, Operation } from './document';
export { createGatewayService } from './service';
