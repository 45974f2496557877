export { createDataReader, readDataset } from './dataset';
export type { DataReader, Dataset } from './dataset';
export { hashFraction } from './hash-fraction';
export { mayShip } from './records';
export type { Pair, Rating, RouteRow, Split } from './records';
export { readRows } from './read-rows';
export type { Rows } from './read-rows';
