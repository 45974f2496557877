// JSON schemas of Kubernetes' objects for kubeconform, from where the objects are defined: the API's description in Kubernetes' own module,
// the custom resource definitions in those of KEDA and of the Prometheus operator. Unknown fields are errors. Beside them that of compose files.
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** Go modules that hold the definitions. */
export const MODULES = {
  kubernetes: 'k8s.io/kubernetes@v1.37.2',
  keda: 'github.com/kedacore/keda/v2@v2.21.0',
  prometheus: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
  compose: 'github.com/compose-spec/compose-go/v2@v2.16.2',
};

/** Writes the schema of each kind to `kind-group-version.json` in `target`; `folders` are the modules' folders by name. */
export function writeSchemas(folders, target) {
  const draft = `${target}.part`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  const write = ({ group, kind, version }, schema) =>
    writeFileSync(
      `${draft}/${kind.toLowerCase()}-${group === '' ? version : group}-${version}.json`,
      JSON.stringify(schema),
    );
  const { definitions } = JSON.parse(
    readFileSync(`${folders.kubernetes}/api/openapi-spec/swagger.json`, 'utf8'),
  );
  for (const [name, definition] of Object.entries(definitions)) definitions[name] = strict(name, definition);
  for (const definition of Object.values(definitions))
    for (const kind of definition['x-kubernetes-group-version-kind'] ?? [])
      write(kind, { ...definition, definitions: closure(definition, definitions) });
  for (const file of definitionFiles(folders))
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
      const { group, names, versions = [] } = document.toJS()?.spec ?? {};
      for (const { name, schema } of versions)
        write({ group, kind: names.kind, version: name }, strictDeep(schema.openAPIV3Schema, true));
    }
  copyFileSync(`${folders.compose}/schema/compose-spec.json`, `${draft}/compose-spec.json`);
  renameSync(draft, target);
}

/** Copies the custom resource definitions themselves to `target`, for clusters. */
export function copyDefinitions(folders, target) {
  const draft = `${target}.part`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  // Files of the module cache are read-only, and copies would be too.
  for (const file of definitionFiles(folders))
    writeFileSync(`${draft}/${basename(file)}`, readFileSync(file));
  renameSync(draft, target);
}

/** Those of KEDA and of the Prometheus operator. */
function definitionFiles({ keda, prometheus }) {
  return [`${keda}/config/crd/bases`, `${prometheus}/example/prometheus-operator-crd`].flatMap((folder) =>
    readdirSync(folder).map((file) => `${folder}/${file}`),
  );
}

/** A definition that knows its own fields only; two types are written in more ways than the description says. */
function strict(name, definition) {
  if (name.endsWith('.IntOrString')) return { type: ['string', 'integer'] };
  if (name.endsWith('.Quantity')) return { type: ['string', 'number'] };
  if (definition.properties === undefined) return definition;
  return { ...definition, additionalProperties: false };
}

/** The same for a custom resource, whose definition is one nested schema. */
function strictDeep(schema, top = false) {
  if (Array.isArray(schema)) return schema.map((one) => strictDeep(one));
  if (typeof schema !== 'object' || schema === null) return schema;
  const {
    'x-kubernetes-int-or-string': either,
    'x-kubernetes-preserve-unknown-fields': any,
    ...rest
  } = schema;
  if (either) return { type: ['string', 'integer'] };
  const inner = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, strictDeep(value)]));
  if (rest.type !== 'object' || typeof rest.properties !== 'object' || any) return inner;
  // The server checks the metadata of custom resources itself.
  const { metadata = {}, ...properties } = inner.properties;
  return {
    ...inner,
    properties: top ? { ...properties, metadata } : inner.properties,
    additionalProperties: false,
  };
}

/** The definitions that one refers to, at any depth. */
function closure(definition, definitions, found = {}) {
  for (const [, name] of JSON.stringify(definition).matchAll(/"#\/definitions\/([^"]+)"/g))
    if (!(name in found)) {
      found[name] = definitions[name];
      closure(definitions[name], definitions, found);
    }
  return found;
}
