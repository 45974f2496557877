import { runService } from '@dmoerm/serving';
import { GATEWAY_CONFIG } from './config';
import { createGatewayService } from './service';

void runService(GATEWAY_CONFIG, createGatewayService);
