/** Labels or label selectors. */
export type Labels = Readonly<Record<string, string>>;

/** A probe of a container. */
export interface Probe {
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

/** What of a container is looked at here. */
export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string }[];
  ports?: { name: string; containerPort: number }[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  securityContext?: Record<string, unknown>;
  resources?: { requests?: Record<string, string | number>; limits?: Record<string, string | number> };
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean; subPath?: string }[];
}

/** What of a volume is looked at here. */
export interface Volume {
  name: string;
  configMap?: { name: string };
  secret?: { secretName: string };
  emptyDir?: object;
  persistentVolumeClaim?: { claimName: string };
  image?: { reference: string };
}

/** What of a pod is looked at here. */
export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds?: number;
  restartPolicy?: string;
  runtimeClassName?: string;
  securityContext?: Record<string, unknown>;
  nodeSelector?: Labels;
  tolerations?: Record<string, string>[];
  topologySpreadConstraints?: { topologyKey: string; whenUnsatisfiable: string }[];
  initContainers?: Container[];
  containers: Container[];
  volumes?: Volume[];
}

/** Any Kubernetes object; which parts are there depends on its kind. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Labels; annotations?: Labels };
  automountServiceAccountToken?: boolean;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec?: Record<string, unknown> & {
    selector?: Labels & { matchLabels?: Labels };
    template?: { metadata: { labels: Labels; annotations?: Labels }; spec: PodSpec };
  };
}

/** The objects of a kind. */
export function ofKind(objects: readonly KubeObject[], kind: string): KubeObject[] {
  return objects.filter((object) => object.kind === kind);
}

/** The object of that kind and name. @throws Error if there is none. */
export function named(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

/** Pod and labels of a Deployment or Job. */
export function podOf({ kind, metadata, spec }: KubeObject): { labels: Labels; spec: PodSpec } {
  if (spec?.template === undefined) throw new Error(`${kind} ${metadata.name} has no pods`);
  return { labels: spec.template.metadata.labels, spec: spec.template.spec };
}

/** Whether labels have all that a selector asks for. */
export function selects(selector: Labels | undefined, labels: Labels): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}
