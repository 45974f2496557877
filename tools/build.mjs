// `npm run build`: packages, native engine, protos, TypeScript; what is up to date is left alone.
import { build } from './steps.mjs';

build();
