import { parseManifests, renderChart } from '../../chart';
import { ofKind } from '../../objects';
import type { KubeObject } from '../../objects';
import { reasonOf } from '../api';
import type { ApiAnswer, KubeApi } from '../api';
import type { Context } from '../context';
import { NAMESPACE } from '../fixture';
import { PODS } from '../pods';

/** Where the API has objects of a kind. */
const PLURALS: Readonly<Record<string, string>> = { NetworkPolicy: 'networkpolicies' };

/** Path of the objects of a kind in the namespace. */
export function pathOf({ apiVersion, kind }: KubeObject): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${root}/namespaces/${NAMESPACE}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}`;
}

/** Every object that the chart renders passes admission as the API server does it, unknown fields being errors; nothing is kept. */
export async function admitted(
  { api, release, report }: Context,
  name: string,
  args: readonly string[],
): Promise<void> {
  const objects = parseManifests(renderChart(args, release.name));
  const wrong: string[] = [];
  for (const object of objects) {
    const answer = await dryRun(api, object);
    const where = `${object.kind} ${object.metadata.name}`;
    if (answer.status !== 201) wrong.push(`${where}: ${reasonOf(answer)}`);
    wrong.push(...answer.warnings.map((warning) => `${where}: ${warning}`));
  }
  report.check(`${name}: every object is admitted, without a warning`, wrong.length === 0, {
    objects: objects.length,
    ...(wrong.length > 0 && { wrong }),
  });
}

/** Controls: what admission refuses, and what it warns of. */
export async function refused({ api, release, report }: Context, args: readonly string[]): Promise<void> {
  const [deployment] = ofKind(parseManifests(renderChart(args, release.name)), 'Deployment');
  const template = deployment?.spec?.template;
  if (deployment === undefined || template === undefined) throw new Error('the chart has no Deployment');
  const { runAsNonRoot: _, runAsUser: __, ...securityContext } = template.spec.securityContext ?? {};
  const spec = { ...template.spec, securityContext: { ...securityContext, runAsUser: 0 } };
  const pod = await dryRun(api, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'as-root', labels: template.metadata.labels },
    // The account is made with the release.
    spec: { ...spec, serviceAccountName: 'default' },
  });
  report.check(
    'control: a pod of the chart that runs as root is refused',
    pod.status === 403 && /violates PodSecurity "restricted/.test(reasonOf(pod)),
    { answer: reasonOf(pod) },
  );
  const warned = await dryRun(api, {
    ...deployment,
    spec: { ...deployment.spec, template: { ...template, spec } },
  });
  report.check(
    'control: a Deployment of such pods is warned of',
    warned.warnings.some((warning) => warning.includes('PodSecurity')),
    { warnings: warned.warnings },
  );
  const unknown = await dryRun(api, {
    ...deployment,
    spec: { ...deployment.spec, replica: 3 },
  });
  report.check(
    'control: a field that Kubernetes does not know is refused',
    unknown.status === 400 && reasonOf(unknown).includes('unknown field "spec.replica"'),
    { answer: reasonOf(unknown) },
  );
}

/** Whether the API server would take an object, as it says to clients that are strict. */
function dryRun(api: KubeApi, object: KubeObject): Promise<ApiAnswer> {
  const path = object.kind === 'Pod' ? PODS : pathOf(object);
  return api.request('POST', `${path}?dryRun=All&fieldValidation=Strict`, object);
}
