export { ROUTER_CONFIG } from './config';
export type { RouterConfig } from './config';
export { createRouterService } from './service';
