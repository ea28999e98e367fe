import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bindings, callObject, requestHead, respond, sharedHeaders } from './message.js';

test('the bindings are another object if and only if a name or a variable has changed', () => {
  const store = { get() {} };
  const env = { A: 'a', STORE: store };
  const first = bindings(env);
  assert.equal(bindings(env), first);
  assert.equal(bindings({ A: 'a', STORE: { get() {} } }), first, 'a store has no value');
  for (const changed of [
    { A: 'b', STORE: store },
    { A: 'a', STORE: 'store' },
    { A: 'a', B: store },
    { A: 'a' },
    { A: undefined, STORE: store },
    {},
  ]) {
    assert.notEqual(bindings(changed), bindings(env), JSON.stringify(changed));
  }
});

test('objects are asked in the jurisdiction and near the region that are set', async () => {
  /** @param {string} where @returns {any} a namespace that answers with what it was asked for */
  const namespace = (where) => ({
    idFromName: (/** @type {string} */ name) => `${where}/${name}`,
    get: (/** @type {string} */ id, /** @type {{ locationHint: string } | undefined} */ options) => ({
      fetch: async (/** @type {string} */ url, /** @type {{ method: string, body: string }} */ { method, body }) =>
        new Response([id, options?.locationHint ?? 'near', url, method, body].join(' ')),
    }),
    jurisdiction: namespace,
  });
  const env = { HUB: namespace('anywhere') };
  const ask = (/** @type {object} */ settings) => callObject({ ...env, ...settings }, 'HUB', 'ada', 'append', '[]');
  assert.equal(await ask({}), 'anywhere/ada near https://object/append POST []');
  assert.equal(await ask({ JURISDICTION: ' ', LOCATION_HINT: '' }), await ask({}), 'empty is not set');
  assert.equal(await ask({ JURISDICTION: 'eu' }), 'eu/ada near https://object/append POST []');
  assert.equal(await ask({ LOCATION_HINT: ' weur ' }), 'anywhere/ada weur https://object/append POST []');
});

test('a head counts its lines', () => {
  const request = new Request('https://edge.example/a?b', { headers: { one: '1', two: '2, 3' } });
  assert.equal(requestHead(request), '6\nGET\nhttps://edge.example/a?b\none\n1\ntwo\n2, 3');
});

test('an answer has all its headers, the shared ones too, and a repeated one twice', async () => {
  const shared = sharedHeaders('vary\nOrigin\nx-frame\nno');
  for (const body of ['text', new TextEncoder().encode('text')]) {
    const answer = respond(201, shared, 'set-cookie\na=1\nset-cookie\nb=2', body, false);
    assert.deepEqual([answer.status, await answer.text()], [201, 'text']);
    assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.equal(answer.headers.get('vary'), 'Origin');
  }
  assert.equal(shared.get('set-cookie'), null, 'the next answer does not get them');
  const own = respond(204, undefined, 'set-cookie\na=1\nset-cookie\nb=2', undefined, false);
  assert.deepEqual(own.headers.getSetCookie(), ['a=1', 'b=2']);
});

test('a header may have any name and no value', () => {
  const head = '__proto__\none\nconstructor\ntwo\nempty\n\nlast\nthree';
  const answer = respond(200, undefined, head, 'text', false);
  const values = ['__proto__', 'constructor', 'empty', 'last'].map((name) => answer.headers.get(name));
  assert.deepEqual(values, ['one', 'two', '', 'three']);
  const both = respond(200, sharedHeaders('vary\nOrigin'), 'vary\nCookie', 'text', false);
  assert.equal(both.headers.get('vary'), 'Origin, Cookie');
});

test('an answer that the runtime rejects leaves no stream behind', async () => {
  const body = stream(['ab'], false);
  assert.throws(() => respond(999, undefined, '', body, false), RangeError);
  assert.deepEqual(await body.getReader().read(), { value: undefined, done: true });
});

/** @param {string[]} chunks @param {boolean} [ends] */
const stream = (chunks, ends = true) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      if (ends) controller.close();
    },
  });
