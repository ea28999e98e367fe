import assert from 'node:assert/strict';
import { test } from 'node:test';

import { begun, readBody, watched } from './body.js';

/** The runtime's own: its readable side is a stream of bytes. */
class IdentityTransformStream {
  constructor() {
    const { readable, writable } = new TransformStream();
    const reader = readable.getReader();
    this.writable = writable;
    this.readable = new ReadableStream({
      type: 'bytes',
      async pull(controller) {
        const { value, done } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }
}
Object.assign(globalThis, { IdentityTransformStream });

/**
 * A stream of bytes, as the runtime gives it.
 * @param {string[]} chunks @param {'ends' | 'breaks off' | 'is silent'} [end]
 */
function stream(chunks, end = 'ends') {
  const left = [...chunks];
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) return controller.enqueue(new TextEncoder().encode(chunk));
      if (end === 'breaks off') return controller.error(new Error('broken'));
      if (end === 'is silent') return new Promise(() => {});
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

/** @param {Uint8Array | undefined} bytes */
const text = (bytes) => bytes && Buffer.from(bytes).toString();

test('a body is read within its limit, and is nothing beyond it', async () => {
  for (const make of [
    () => stream(['ab', 'cd']),
    () => begun(stream(['abcd']), 4),
    () => begun(stream(['ab', 'cd']), 4),
  ]) {
    const read = async (/** @type {number} */ limit) =>
      text(await readBody(await make(), limit, new AbortController(), undefined));
    assert.deepEqual([await read(4), await read(3)], ['abcd', undefined]);
  }
});

test('a body that falls silent, or is no longer wanted, is never taken for complete', async () => {
  for (const make of [() => stream(['ab'], 'is silent'), () => begun(stream(['ab'], 'is silent'), 4)]) {
    const silent = new AbortController();
    await assert.rejects(readBody(await make(), 100, silent, 5), { name: 'AbortError' });
    assert.equal(silent.signal.aborted, true);
    const unwanted = new AbortController();
    const reading = readBody(await make(), 100, unwanted, undefined);
    unwanted.abort();
    await assert.rejects(reading, { name: 'AbortError' });
  }
});

test('a short body that comes at once is taken whole, and no other', async () => {
  assert.equal(text(/** @type {Uint8Array} */ (await begun(stream(['abcd']), 4))), 'abcd');
  const long = stream(['abcd']);
  assert.equal(await begun(long, 4097), long);
  for (const part of [stream(['ab', 'cd']), stream(['ab'], 'is silent'), stream(['ab'], 'breaks off')])
    assert.ok(!((await begun(part, 4)) instanceof Uint8Array));
  await assert.rejects(begun(stream([], 'breaks off'), 4));
});

test('a body that came in part reaches its reader with the rest, or breaks off', async () => {
  const read = async (/** @type {ReadableStream<Uint8Array>} */ sent, /** @type {number | undefined} */ longest) => {
    const body = watched(await begun(sent, 4), new AbortController(), 1000, longest);
    return new Response(/** @type {BodyInit} */ (body)).text();
  };
  for (const longest of [1000, undefined]) {
    assert.equal(await read(stream(['ab', 'cd']), longest), 'abcd');
    await assert.rejects(read(stream(['ab'], 'breaks off'), longest));
  }
});

test('a body that takes too long aborts its call', async () => {
  const call = new AbortController();
  watched(await begun(stream(['ab'], 'is silent'), 4), call, 1000, 5);
  await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
});
