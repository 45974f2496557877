// Labels against an endpoint in a process of its own, so that a spec can kill it. Usage: run-child URL FOLDER COMPARISONS
import { label } from '../labelling';
import { comparisonsOf, optionsFor } from './fixtures';

const [url = '', output = '', count = ''] = process.argv.slice(2);
void label(optionsFor(url, { output, comparisons: comparisonsOf(Number(count)) })).then(({ complete }) => {
  process.exitCode = complete ? 0 : 1;
});
