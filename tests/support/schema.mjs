// Reads the documents of docs/, and checks values against their schemas.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

import { ROOT } from '../../scripts/stack/path.mjs';

/** @typedef {any} Node a part of a document */

const ajv = new Ajv2020({ strict: false, allowUnionTypes: true });
addFormats(ajv);

/** Reads a document as it is. @param {string} path in the repository @returns {Node} */
export function readDocument(path) {
  return parse(readFileSync(join(ROOT, path), 'utf8'));
}

/**
 * A document with each reference replaced by what it refers to. What stands beside a reference to a schema adds to it.
 * @param {Node} document @param {Node} [node] @returns {Node}
 */
export function dereferenced(document, node = document) {
  if (Array.isArray(node)) return node.map((each) => dereferenced(document, each));
  if (typeof node !== 'object' || node === null) return node;
  const { $ref, ...rest } = node;
  const more = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, dereferenced(document, value)]));
  if (typeof $ref !== 'string') return more;
  const target = $ref
    .slice('#/'.length)
    .split('/')
    .reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], document);
  if (target === undefined) throw new Error(`${$ref} refers to nothing`);
  const found = dereferenced(document, target);
  return Object.keys(more).length ? { allOf: [found], ...more } : found;
}

/** @type {WeakMap<object, import('ajv').ValidateFunction>} */
const validators = new WeakMap();

/**
 * What is wrong with a value; nothing if it fits the schema.
 * @param {Node} schema without references @param {unknown} value @returns {string[]}
 */
export function mismatches(schema, value) {
  const validate = validators.get(schema) ?? ajv.compile(schema);
  validators.set(schema, validate);
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    `${instancePath || 'the whole'} ${message} ${JSON.stringify(params)}`.slice(0, 300),
  );
}

/**
 * A schema that refuses members which it does not name. Documents leave objects open, so that clients accept what a
 * later release adds; a test wants to hear of it. @param {Node} schema without references @returns {Node}
 */
export function closed(schema) {
  if (typeof schema !== 'object' || schema === null) return schema;
  const { properties, items, oneOf } = schema;
  return {
    ...schema,
    ...(properties && { properties: mapped(properties, closed) }),
    ...(items && { items: closed(items) }),
    ...(oneOf && { oneOf: oneOf.map(closed) }),
    ...(properties && !('additionalProperties' in schema) && { unevaluatedProperties: false }),
  };
}

/** @param {Record<string, Node>} members @param {(value: Node) => Node} map */
function mapped(members, map) {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, map(value)]));
}
