// docs/openapi.yaml says what the route table and the errors of core say, and docs/openapi-bridge.yaml what the
// bridge's routes and rejections say. A route, a policy, a status or a code that only one side has fails here.

import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';

import { rows } from '../http/route-probe.mjs';
import { differences } from '../support/openapi.mjs';
import { dereferenced, readDocument } from '../support/schema.mjs';
import { arms, constant, product, source, variants } from './rust-enum.mjs';

/** @typedef {import('../support/schema.mjs').Node} Node */
/** @typedef {import('../http/route-probe.mjs').Row} Row */

const edge = dereferenced(readDocument('docs/openapi.yaml'));
const bridge = dereferenced(readDocument('docs/openapi-bridge.yaml'));
const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace'];
const KNOWN = {
  KIB: '1024',
  PROXY_LIMIT: String(constant(source('edge/core/src/proxy/service.rs'), 'MAX_BODY_LIMIT_BYTES')),
  DELIVER_LIMIT: String(constant(source('edge/protocol/src/deliver.rs'), 'MAX_DELIVER_BYTES')),
};

/** The operations of a document, by `METHOD /path`. @param {Node} document @returns {Map<string, Node>} */
function operations({ paths }) {
  return new Map(
    Object.entries(paths).flatMap(([path, item]) =>
      METHODS.filter((method) => method in /** @type {Node} */ (item)).map(
        (method) => /** @type {const} */ ([`${method.toUpperCase()} ${path}`, /** @type {Node} */ (item)[method]]),
      ),
    ),
  );
}

/** The operations that a row has in the document. @param {Row} row */
function operationsOf({ method, pattern, csrf }) {
  const path = pattern.replace('{*', '{');
  if (method === 'ANY') return ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].map((any) => `${any} ${path}`);
  // Rows without credentials also answer HEAD.
  return method === 'GET' && csrf === 'Public' ? [`GET ${path}`, `HEAD ${path}`] : [`${method} ${path}`];
}

/** A row's limit, in bytes. @param {Row} row */
const limitOf = ({ limit }) => product(limit.replaceAll(/[()]/g, '').replaceAll(/[A-Z_]+/g, (name) => known(name)));

/** @param {string} name */
function known(name) {
  assert.ok(name in KNOWN, `route.rs names ${name}, which this test does not know`);
  return KNOWN[/** @type {keyof typeof KNOWN} */ (name)];
}

test("the document has the routes of core's table and no others", () => {
  assert.ok(rows().length > 20);
  assert.deepEqual([...operations(edge).keys()].sort(), rows().flatMap(operationsOf).sort());
});

for (const row of rows()) {
  const { csrf, session, cache, cors } = row;
  for (const name of operationsOf(row)) {
    test(`the document has the policies of ${name}`, () => {
      const operation = operations(edge).get(name) ?? {};
      const { 'x-policy': policy, responses, parameters = [], security } = operation;
      assert.deepEqual(policy, { csrf, session, body_limit_bytes: limitOf(row), cache, cors });

      const header = parameters.find((/** @type {Node} */ parameter) => parameter.name === 'X-CSRF');
      assert.equal(header?.required, { Header: true, HeaderUnlessNavigable: false }[csrf], 'X-CSRF');
      if (session === 'Session') assert.deepEqual(security, [{ session: [] }]);
      else if (csrf === 'Signature') assert.deepEqual(security, [{ bridge: [] }]);
      else assert.ok(security.length === 0 || !('session' in security[0]), 'no session is needed');

      const has = (/** @type {number} */ status) => String(status) in responses;
      for (const status of [400, 431, 500, 503]) assert.ok(has(status), `any row may answer ${status}`);
      const guarded = !['Signature', 'Token', 'Public'].includes(csrf);
      assert.equal(has(403), guarded, '403 is for rows that check where a request comes from');
      if (session === 'Session' || csrf === 'Signature') assert.ok(has(401), '401 without a session or a signature');
      else assert.ok(!has(401) || csrf === 'Navigation' || csrf === 'Token', '401 is for rows with credentials');
      assert.equal(has(409) && has(401) && !guarded, csrf === 'Signature', '409 is for versions that differ');
      for (const status of [408, 413]) assert.equal(has(status), limitOf(row) > 0, `${status} is for rows with a body`);
      if (row.pattern.includes('{')) assert.ok(has(404), '404 for a placeholder without such a thing');
      if (cache === 'ByHandler') assert.ok(responses[200].headers['Cache-Control'].required, 'Cache-Control');
    });
  }
}

/** All problem documents of a document: the status under which each stands, and its schema. @param {Node} document */
function problems(document) {
  const responses = [...operations(document).values()].flatMap((operation) => Object.entries(operation.responses));
  for (const more of Object.values(document['x-unrouted'])) responses.push(...Object.entries(more));
  return responses.flatMap(([status, { content }]) => {
    const schema = content?.['application/problem+json']?.schema;
    return schema ? [{ status, schema }] : [];
  });
}

/** The codes of a document with their statuses. @param {Node} document */
function codes(document) {
  const pairs = problems(document).flatMap(({ status, schema: { properties } }) => {
    assert.equal(String(properties.status.const), status, JSON.stringify(properties));
    const { const: only, enum: several = [only] } = properties.code;
    return several.map((/** @type {string} */ code) => `${status} ${code}`);
  });
  return [...new Set(pairs)].sort();
}

/**
 * The codes of an enum of errors with their statuses.
 * @param {string} path @param {string} name of the enum @param {Record<string, unknown>} [constants]
 */
function codesInSource(path, name, constants = {}) {
  const text = source(path);
  const [statuses, known] = [arms(text, 'status'), arms(text, 'code')];
  const all = variants(text, name).sort();
  assert.ok(all.length > 15);
  assert.deepEqual([...statuses.keys()].sort(), all, 'the statuses were read');
  assert.deepEqual([...known.keys()].sort(), all, 'the codes were read');
  const numbers = new Map(
    Object.entries(STATUS_CODES).map(([number, words = '']) => [words.toUpperCase().replaceAll(/[ -]/g, '_'), number]),
  );
  const pairs = all.map((each) => {
    const code = known.get(each) ?? '';
    return `${numbers.get(statuses.get(each) ?? '')} ${constants[code] ?? code}`;
  });
  return [...new Set(pairs)].sort();
}

test('the document has the problem codes of core, each with its status', () => {
  const WIRE_VERSION_CODE = constant(source('edge/protocol/src/deliver.rs'), 'WIRE_VERSION_CODE');
  assert.deepEqual(codes(edge), codesInSource('edge/core/src/error.rs', 'Error', { WIRE_VERSION_CODE }));
});

test("the bridge's document has its routes and its problem codes, each with its status", () => {
  const text = source('kafka-bridge/src/http.rs');
  const protocol = source('edge/protocol/src/event.rs') + source('edge/protocol/src/stream.rs');
  const paths = protocol + source('edge/protocol/src/replay.rs');
  const routes = [...text.matchAll(/\.route\((?:"([^"]+)"|(\w+)), (get|post)\(/g)].map(
    ([, path, name = '', method = '']) => `${method.toUpperCase()} ${path ?? constant(paths, name)}`,
  );
  assert.equal(routes.length, text.match(/\.route\(/g)?.length);
  assert.deepEqual([...operations(bridge).keys()].sort(), routes.sort());
  assert.deepEqual(codes(bridge), codesInSource('kafka-bridge/src/rejection.rs', 'Rejection'));
});

const ANSWER = {
  target: '/healthz',
  status: 200,
  headers: {
    'x-request-id': '0123456789abcdef',
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    vary: 'Origin, Cookie, Sec-Fetch-Site',
    'x-content-type-options': 'nosniff',
  },
  text: '{"status":"ok"}',
};
const PROBLEM = { type: 'urn:causeway:problem:not-found', status: 404, title: 'x', code: 'not-found', request_id: 'x' };
const problem = { ...ANSWER.headers, 'content-type': 'application/problem+json' };

/** @type {[string, object, RegExp | undefined][]} */
const EXAMPLES = [
  ['as described', {}, undefined],
  ['to HEAD', { method: 'HEAD', text: '' }, undefined],
  ['with another status', { status: 201 }, /201 is not described/],
  ['with another value', { text: '{"status":"good"}' }, /\/status must be equal to constant/],
  ['with another member', { text: '{"status":"ok","more":1}' }, /must NOT have unevaluated properties/],
  ['without a body', { text: '' }, /not JSON/],
  ['of another type', { headers: { ...ANSWER.headers, 'content-type': 'text/plain' } }, /content type is text\/plain/],
  ['without a common header', { headers: { ...ANSWER.headers, vary: undefined } }, /Vary is missing/],
  ['that may be stored', { headers: { ...ANSWER.headers, 'cache-control': 'public' } }, /Cache-Control is public/],
  ['of another path', { target: '/nowhere' }, /200 is not described/],
  [
    'of another path, 404',
    { target: '/nowhere', status: 404, headers: problem, text: JSON.stringify(PROBLEM) },
    undefined,
  ],
  ['of another method', { method: 'PUT', status: 405, headers: problem }, /Allow is missing/],
  [
    'with a code of another status',
    {
      target: '/events/chat',
      method: 'POST',
      status: 401,
      headers: problem,
      text: JSON.stringify({ ...PROBLEM, status: 401 }),
    },
    /code must be equal to constant/,
  ],
  ['of an upstream', { target: '/bff/api/a/b', status: 418, text: 'anything' }, undefined],
  [
    'of the edge in place of an upstream',
    {
      target: '/bff/api/a/b',
      status: 418,
      headers: problem,
      text: JSON.stringify({ ...PROBLEM, status: 418 }),
    },
    /418 is not described/,
  ],
];
for (const [name, change, message] of EXAMPLES) {
  test(`an answer ${name} is ${message ? 'noticed' : 'accepted'}`, () => {
    const found = differences({ ...ANSWER, ...change });
    if (message) assert.match(found.join('\n'), message);
    else assert.deepEqual(found, []);
  });
}
