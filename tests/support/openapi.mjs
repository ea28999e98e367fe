// The edge's answers, compared with docs/openapi.yaml. An answer that the document does not describe fails its test.
//
// What an upstream answers through `/bff/` is not described. Nor are the answers of a runtime that refuses a request by
// itself, before the edge sees it.

import assert from 'node:assert/strict';

import { exchangeRecorded } from './record.mjs';
import { closed, dereferenced, mismatches, readDocument } from './schema.mjs';

/** @typedef {import('./schema.mjs').Node} Node */
/** @typedef {import('./exchange.mjs').Sent} Sent */
/**
 * @typedef {object} Exchanged
 * @property {string} [method]
 * @property {string} target as on the request line
 * @property {Sent['headers']} [sent]
 * @property {number} status
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} [text] unless the body was not read
 */

/** @type {Node} */
const document = dereferenced(readDocument('docs/openapi.yaml'));
const unrouted = document['x-unrouted'];
const paths = Object.entries(document.paths).map(([template, item]) => ({
  template,
  item: /** @type {Node} */ (item),
  pattern: new RegExp(`^${template.replaceAll('{path}', '.*').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
}));
const OWN_PROBLEM = /"urn:causeway:problem:/;

/**
 * The responses that the document has for a request, by status.
 * @param {Exchanged} exchanged @returns {{ responses: Record<string, Node>, operation?: Node }}
 */
function described({ method = 'GET', target, sent = {} }) {
  const path = target.split('?')[0] ?? '';
  const found = paths.filter(({ pattern }) => pattern.test(path));
  const operation = found.map(({ item }) => item[method.toLowerCase()]).find(Boolean);
  if (operation) return { responses: { ...unrouted.any, ...operation.responses }, operation };
  const isPreflight = Object.keys(sent).some((name) => /^access-control-request-method$/i.test(name));
  if (method === 'OPTIONS' && isPreflight) return { responses: { ...unrouted.any, ...unrouted.preflight } };
  // Of the bridge's operations, a runtime has all or none.
  const isOptional = found.some(({ item }) => item.post?.tags.includes('bridge'));
  const other = found.length ? { ...unrouted.method, ...(isOptional && unrouted.path) } : unrouted.path;
  return { responses: { ...unrouted.any, ...other } };
}

/** How an answer differs from what the document says. @param {Exchanged} exchanged @returns {string[]} */
export function differences(exchanged) {
  const { method = 'GET', target, status, headers, text } = exchanged;
  // Every answer of the edge has an id. Without one, the connection broke, or the runtime or another server answered.
  if (!headers['x-request-id'] || !target.startsWith('/')) return [];
  const { responses, operation } = described(exchanged);
  const common = headerDifferences(document['x-common-headers'], headers, true);
  const isForwarded = 'default' in responses && !OWN_PROBLEM.test(text ?? '');
  if (isForwarded) return common;
  const response = responses[status];
  if (!response) return [`the status ${status} is not described`];
  const isStored = operation?.['x-policy'].cache === 'ByHandler' && status < 400;
  const mayStore = isStored || headers['cache-control'] === 'no-store';
  return [
    ...common,
    ...(mayStore ? [] : [`Cache-Control is ${headers['cache-control']}`]),
    ...headerDifferences(response.headers ?? {}, headers, false),
    ...(method === 'HEAD' || text === undefined ? [] : bodyDifferences(response.content, headers, text)),
  ];
}

/** @param {Record<string, Node>} expected @param {Exchanged['headers']} headers @param {boolean} all are required */
function headerDifferences(expected, headers, all) {
  return Object.entries(expected).flatMap(([name, { required = all, schema }]) => {
    const value = [headers[name.toLowerCase()] ?? []].flat();
    if (!value.length) return required ? [`${name} is missing`] : [];
    return value.flatMap((each) => mismatches(schema, each)).map((fault) => `${name}: ${fault}`);
  });
}

/** @param {Node} content @param {Exchanged['headers']} headers @param {string} text */
function bodyDifferences(content, headers, text) {
  if (!content) return text === '' ? [] : ['there is a body'];
  const type = headers['content-type']?.split(';')[0]?.trim() ?? '';
  if (!(type in content)) return [`the content type is ${type || 'missing'}`];
  if (!/\bjson$/.test(type)) return [];
  try {
    return mismatches((content[type].closed ??= closed(content[type].schema)), JSON.parse(text));
  } catch {
    return ['the body is not JSON'];
  }
}

/** Fails unless the document describes an answer. @param {Exchanged} exchanged */
export function assertDescribed(exchanged) {
  const { method = 'GET', target, status, text = '' } = exchanged;
  const found = differences(exchanged);
  const name = `docs/openapi.yaml does not describe the answer to ${method} ${target.slice(0, 200)}`;
  assert.equal(found.length, 0, `${name}: ${status} ${text.slice(0, 500)}\n  ${found.join('\n  ')}`);
}

/**
 * Sends a request as {@link exchangeRecorded} does, and checks an edge's answer.
 * @param {string} origin @param {string} target @param {Sent} [sent] @param {string} [edge]
 */
export async function exchangeDescribed(origin, target, sent = {}, edge = origin) {
  const answer = await exchangeRecorded(origin, target, sent, edge);
  const isStream = answer.headers['content-type']?.startsWith('text/event-stream');
  if (origin === edge)
    assertDescribed({
      ...answer,
      method: sent.method,
      target,
      sent: sent.headers,
      text: isStream ? undefined : answer.text,
    });
  return answer;
}
