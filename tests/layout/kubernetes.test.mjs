// The chart and the SpinApp keep in service what can serve, and can set what the bridge can do.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { parse } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (/** @type {string} */ path) => readFileSync(join(ROOT, path), 'utf8');
const CHART = 'examples/deploy/helm/kafka-bridge';
const statefulSet = read(`${CHART}/templates/statefulset.yaml`);
const schema = JSON.parse(read(`${CHART}/values.schema.json`)).properties;
const values = parse(read(`${CHART}/values.yaml`));

/** A probe of the chart's template. @param {string} name */
function probe(name) {
  const [, text] = new RegExp(`^ {10}${name}:\\n((?: {12}.*\\n)+)`, 'm').exec(statefulSet) ?? [];
  assert.ok(text, name);
  return parse(text);
}

test('an outage of Kafka takes neither the edge nor the bridges out of service', () => {
  const [app = ''] = read('examples/deploy/spinkube/spinapp.yaml').split(/^---$/m);
  const { readiness, liveness } = parse(app).spec.checks;
  assert.deepEqual([readiness.httpGet.path, liveness.httpGet.path], ['/healthz', '/healthz']);
  assert.equal(probe('livenessProbe').httpGet.path, '/healthz');
  assert.equal(probe('startupProbe').httpGet.path, '/healthz');
  // The first success counts, so that a rollout with wrong settings stops; then an outage may last for hours.
  const { httpGet, periodSeconds, failureThreshold } = probe('readinessProbe');
  assert.equal(httpGet.path, '/readyz');
  assert.ok(periodSeconds * failureThreshold >= 12 * 3600);
});

test('the chart knows every SASL mechanism of the bridge, and what each needs', () => {
  const page = read('docs/configuration.md');
  const [, row = ''] = /^\| `KAFKA_SASL_MECHANISM` \|[^|]*\|(.*)\|$/m.exec(page) ?? [];
  const mechanisms = [...row.matchAll(/`([A-Z0-9-]+)`/g)].map(([, name]) => name);
  assert.deepEqual(schema.kafka.properties.saslMechanism.enum, ['', ...mechanisms]);
  const [, tokens = '', password = ''] =
    /\{\{- if eq \.Values\.kafka\.saslMechanism "OAUTHBEARER" \}\}([^]*?)\{\{- else \}\}([^]*?)\{\{- end \}\}\n/.exec(
      statefulSet,
    ) ?? [];
  const set = (/** @type {string} */ text) => [...text.matchAll(/- name: (\w+)/g)].map(([, name]) => name);
  assert.deepEqual(set(tokens), ['KAFKA_SASL_TOKEN_URL', 'KAFKA_SASL_CLIENT_ID', 'KAFKA_SASL_SCOPE']);
  assert.deepEqual(set(password), ['KAFKA_SASL_USERNAME']);
});

test('every value of the chart has a type, and every value that the templates read exists', () => {
  assert.deepEqual(
    Object.keys(values).filter((name) => !(name in schema)),
    [],
  );
  assert.deepEqual(Object.keys(values.kafka).toSorted(), Object.keys(schema.kafka.properties).toSorted());
  for (const [, name = ''] of statefulSet.matchAll(/\.Values\.kafka\.(\w+)/g)) assert.ok(name in values.kafka, name);
});

test('an upgrade of the chart that changes one value keeps the others', () => {
  const page = read('examples/deploy/README.md');
  for (const [command] of page.matchAll(/helm upgrade [^`]*/g)) assert.match(command, /--reuse-values| -f /, command);
});
