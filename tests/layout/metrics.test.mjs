// Alerts and dashboard ask for metrics and labels that docs/metrics.md describes; each alert has a runbook and a test.
//
// Those about the edge ask for the blackbox exporter's metrics, and for lines of the log that docs/operations.md
// describes.
//
// kafka-bridge/tests/telemetry compares docs/metrics.md with the bridge; a Prometheus runs the rules and queries there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { parse } from 'yaml';

const DOCS = resolve(import.meta.dirname, '../../docs');
const read = (/** @type {string} */ path) => readFileSync(join(DOCS, path), 'utf8');

/** Labels that Prometheus or the bucket of a histogram adds. */
const ADDED = ['job', 'instance', 'le'];

/** The metrics in docs/metrics.md: kind and labels by name. */
const documented = new Map(
  [...read('metrics.md').matchAll(/^\| `(causeway_\w+)` \| (\w+) \|([^|]*)\|/gm)].map(([, name, kind, labels = '']) => [
    name,
    { kind, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label) },
  ]),
);

/** @typedef {{ severity: string }} Labels */
/** @typedef {{ alert: string, expr: string, labels: Labels, annotations: Record<string, string> }} Rule */
/** @param {string} path @returns {Rule[]} */
const rules = (path) => parse(read(path)).groups.flatMap((/** @type {{ rules: Rule[] }} */ group) => group.rules);
const alerts = rules('prometheus/alerts.yaml');

/** @type {{ title: string, description?: string, targets?: { expr: string }[] }[]} */
const panels = JSON.parse(read('grafana/causeway.json')).panels;

/** Asserts that a query asks for what exists. @param {string} query @param {string} where */
function assertDocumented(query, where) {
  const selectors = [...query.matchAll(/(causeway_\w+)(?:\{([^}]*)\})?/g)];
  assert.ok(selectors.length > 0, where);
  for (const [, name = '', matchers = ''] of selectors) {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const found = documented.get(name) ?? documented.get(base);
    assert.ok(found, `${where}: ${name} is not in docs/metrics.md`);
    assert.equal(found.kind === 'histogram', !documented.has(name), `${where}: ${name}`);
    for (const [, label = ''] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      assert.ok([...found.labels, ...ADDED].includes(label), `${where}: ${name} has no label ${label}`);
    if (found.kind === 'counter') assert.match(query, /\b(rate|increase)\(/, `${where}: ${name} is a counter`);
  }
}

test('alerts and dashboard ask for metrics and labels that are documented', () => {
  for (const { alert, expr } of alerts) assertDocumented(expr, alert);
  const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  assert.ok(queries.length > 15);
  for (const { title, expr } of queries) assertDocumented(expr, title);
});

test('what the dashboard does not show, an alert watches, but for three', () => {
  const shown = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join(' ');
  const alerted = alerts.map(({ expr }) => expr).join(' ');
  const unseen = [...documented.keys()].filter((name) => !`${shown} ${alerted}`.includes(name ?? ''));
  const known = ['causeway_backlog_records', 'causeway_checkpoints_total', 'causeway_produce_queue_bytes'];
  assert.deepEqual(unseen.toSorted(), known);
});

test('each alert has a severity, a runbook and a test, and no runbook is about another alert', () => {
  const headings = [...read('operations.md').matchAll(/^### (Causeway\w+)$/gm)].map(([, name]) => name);
  const all = [...alerts, ...rules('prometheus/edge-alerts.yaml')];
  assert.deepEqual(headings.toSorted(), all.map(({ alert }) => alert).toSorted());
  for (const name of ['alerts', 'edge-alerts']) {
    const tests = read(`prometheus/${name}_test.yaml`).matchAll(/alertname="(\w+)"/g);
    const tested = new Set([...tests].map(([, alert]) => alert));
    assert.deepEqual(
      [...tested].toSorted(),
      rules(`prometheus/${name}.yaml`)
        .map(({ alert }) => alert)
        .toSorted(),
    );
  }
  for (const { alert, labels, annotations } of all) {
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`);
    assert.match(annotations.summary ?? '', /\.$/, alert);
  }
});

test("rules about the edge's log ask for lines that are documented, and for all that deserve an alert", () => {
  const page = read('operations.md');
  const [, table = ''] = /^These lines deserve an alert\.[^]*?\n\n((?:\|.*\n)+)/m.exec(page) ?? [];
  const deserving = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) => cell.match(/`[a-z-]+`/g) ?? []);
  const words = new Set(deserving.map((word) => word.slice(1, -1)));
  assert.ok(words.size > 15);
  const log = rules('loki/edge-alerts.yaml');
  const asked = new Set(
    log
      .flatMap(({ expr }) => [...expr.matchAll(/(?:event|reason|code|outcome|level)=~?"([^"]*)"/g)])
      .flatMap(([, it = '']) => it.split('|')),
  );
  assert.deepEqual(
    [...asked].filter((word) => !words.has(word)),
    [],
  );
  // What they mean depends on the pages and the APIs of a deployment.
  const own = ['step-up-in-vain', 'neither-a-top-level-link-nor-an-image-a-sound-or-a-film', 'upstream'];
  const fields = ['level', 'reason', 'code'];
  assert.deepEqual(
    [...words].filter((word) => ![...asked, ...fields, ...own].includes(word)),
    [],
  );
  const anchors = new Set(
    [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-')),
  );
  for (const { alert, labels, annotations } of log) {
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.ok(anchors.has(annotations.runbook?.replace('docs/operations.md#', '') ?? ''), alert);
    assert.match(annotations.summary ?? '', /\.$/, alert);
  }
});
