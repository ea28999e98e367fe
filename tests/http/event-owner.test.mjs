// Whose records a client gets, and who may write them, for the security table.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { bridgePart } from '../../scripts/stack/part/bridge.mjs';
import { assertProblem } from '../support/problem.mjs';
import { signedIn } from '../support/sign-in.mjs';
import { externalBrokers, target } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { kafka, stack, unique } from './stack.mjs';

const bridge = `http://127.0.0.1:${stack.ports.bridge}`;

test("S166: no channel, cursor or position in a request reaches another user's records", async () => {
  const [ada, grace] = await Promise.all([signedIn(stack, 'github', 'ada'), signedIn(stack, 'entra', 'grace')]);
  const [theirs, own] = [unique('for Grace'), unique('for Ada')];
  const graces = await (await Stream.open(grace.browser)).opened();
  await kafka.write({ key: grace.user.id, value: { text: theirs } });
  await graces.receives(theirs);
  await kafka.write({ key: ada.user.id, value: { text: own } });

  const thief = await (await Stream.open(ada.browser, graces.lastId, `?channel=chat&user=${grace.user.id}`)).opened();
  await thief.receives(own);
  assert.ok(!thief.texts.includes(theirs));
  thief.cut();

  const at = encodeURIComponent(graces.lastId);
  // The position after hers, so that a page before it would end with her record.
  const after = encodeURIComponent(graces.lastId.replace(/\d+$/, (offset) => String(Number(offset) + 1)));
  for (const before of [at, after]) {
    const query = `before=${before}&limit=200&subject=${grace.user.id}&user=${grace.user.id}`;
    const page = await ada.browser.call(`/events/chat/history?${query}`);
    assert.equal(page.status, 200, page.text);
    assert.ok(!page.text.includes(theirs), before);
  }

  for (const path of [
    '/stream?channel=nope',
    '/stream?channel=chat&channel=chat%2Cnope',
    '/events/nope/history',
    `/events/nope/history?before=${at}`,
    `/events/chat/history?before=${at.replace('chat', 'nope')}`,
  ]) {
    const answer = await ada.browser.call(path);
    assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
    assertProblem(answer, answer.status);
  }

  // The bridge believes what the edge signs, and nobody else. On Workers it serves no streams.
  for (const [path, status] of /** @type {const} */ ([
    [`/v1/replay?subject=${grace.user.id}&channel=chat`, 401],
    [`/v1/stream?subject=${grace.user.id}`, target === 'workers' ? 404 : 401],
  ]))
    for (const signature of ['', 'k1.1.AAAA']) {
      const answer = await fetch(bridge + path, { headers: signature ? { 'causeway-signature': signature } : {} });
      assert.equal(answer.status, status, path);
      assert.ok(!(await answer.text()).includes(theirs));
    }
  graces.cut();
});

test(
  'S167: what is not signed as the channel demands is a dead letter, is counted, and is never heard',
  { skip: externalBrokers && "an external Kafka's records may not be signed" },
  async () => {
    const { browser, user } = await signedIn(stack, 'github', 'dorothy');
    const secret = randomBytes(32);
    await stack.parts.bridge.stop();
    const signing = bridgePart({
      target,
      state: join(stack.state, 'signed-records'),
      ports: stack.ports,
      secrets: stack.secrets,
      brokers: stack.brokers,
      variables: {
        BRIDGE_CHANNELS: JSON.stringify([
          {
            name: 'chat',
            inbound: 'chat.inbound',
            outbound: 'chat.outbound',
            signature: { algorithm: 'hmac-sha256', keys: { k1: secret.toString('base64url') } },
          },
        ]),
      },
    });
    try {
      await signing.start();
      const stream = await (await Stream.open(browser)).opened();
      /** @type {[string, (record: Signable) => Record<string, string | string[]>][]} */
      const forgeries = [
        ['not signed', ({ headers }) => headers],
        ['signed with another key', (record) => signed(record, randomBytes(32))],
        ['signed for another user', (record) => signed({ ...record, key: 'github:1' }, secret)],
        ['signed for another channel', (record) => signed({ ...record, channel: 'feed' }, secret)],
        ['changed later', (record) => ({ ...signed(record, secret), ce_id: unique('another') })],
        ['with a header added', (record) => ({ ...signed(record, secret), ce_causewayecho: 'true' })],
        ['with a header twice', (record) => ({ ...signed(record, secret), ce_type: ['message', 'delta'] })],
      ];
      const recordOf = (/** @type {string} */ text) => ({
        channel: 'chat',
        key: user.id,
        headers: { ce_id: unique('id'), ce_specversion: '1.0', ce_type: 'message', 'content-type': 'application/json' },
        // As a piece has it, too: one forgery says that it is one.
        value: { id: unique('m'), seq: 0, text },
      });
      /** @type {string[]} */
      const forged = [];
      for (const [what, forge] of forgeries) {
        const record = recordOf(unique(what));
        forged.push(record.value.text);
        await kafka.write({ ...record, headers: forge(record) });
      }
      // Of the same partition as the others, and after them. The order of its headers means nothing.
      const genuine = recordOf(unique('signed'));
      const headers = Object.fromEntries(Object.entries(signed(genuine, secret)).reverse());
      await kafka.write({ ...genuine, headers });
      await stream.receives(genuine.value.text);
      const said = unique('what the user says');
      assert.equal((await browser.postEvent('message', { text: said })).status, 202);
      await stream.receives(said);
      const heard = [...stream.texts, (await browser.call('/events/chat/history?limit=50')).text].join('\n');
      for (const text of forged) assert.ok(!heard.includes(text), text);
      assert.ok(heard.includes(genuine.value.text));

      for (const deadline = Date.now() + 10_000; ; await delay(100)) {
        const letters = await kafka.read('chat.outbound.dlq');
        const reasons = forged.map(
          (text) => letters.find(({ value }) => value.includes(text))?.headers.dlq_reason ?? 'missing',
        );
        const rest = Array(forged.length - 1).fill('bad_signature');
        if (reasons.includes('missing') && Date.now() < deadline) continue;
        assert.deepEqual(reasons, ['unsigned', ...rest]);
        break;
      }
      const metrics = await (await fetch(`http://127.0.0.1:${stack.ports.metrics}/metrics`)).text();
      assert.match(metrics, /^causeway_dead_letters_total\{reason="unsigned",topic="chat.outbound"\} 1$/m);
      assert.match(
        metrics,
        new RegExp(
          `^causeway_dead_letters_total\\{reason="bad_signature",topic="chat.outbound"\\} ${forged.length - 1}$`,
          'm',
        ),
      );
      stream.cut();
    } finally {
      await signing.stop();
      await stack.parts.bridge.start();
    }
  },
);

test("S168: an echo has the session's user and the edge's id, whatever the event claims", async () => {
  const [ada, grace] = await Promise.all([signedIn(stack, 'github', 'ada'), signedIn(stack, 'entra', 'grace')]);
  const [adas, graces] = await Promise.all(
    [ada, grace].map(async ({ browser }) => (await Stream.open(browser)).opened()),
  );
  assert.ok(adas && graces);
  const text = unique('as somebody else');
  const claims = { id: 'chosen', subject: grace.user.id, user: grace.user.id, tenant: 'entra', source: 'elsewhere' };
  const post = (/** @type {Record<string, unknown>} */ more) =>
    ada.browser.call('/events/chat', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ce_id: 'chosen',
        ce_subject: grace.user.id,
        ce_causewayecho: 'false',
      },
      body: JSON.stringify({
        type: 'message',
        ...claims,
        data: { text, ...claims, role: 'assistant', channel: 'feed', echo: false },
        ...more,
      }),
    });
  const answer = await post({});
  assert.equal(answer.status, 202, answer.text);
  const { id } = JSON.parse(answer.text);
  await adas.receives(text);
  const event = /** @type {Record<string, unknown>} */ (adas.events.find(({ data }) => data.text === text));
  assert.deepEqual([event.id, event.channel, event.type, event.echo], [id, 'chat', 'message', true]);
  assert.notEqual(id, 'chosen');
  const records = (await kafka.read('chat.outbound')).filter(({ value }) => JSON.parse(value).text === text);
  assert.deepEqual(
    records.map(({ key, headers }) => [key, headers.ce_subject, headers.ce_id, headers.ce_source]),
    [[ada.user.id, ada.user.id, id, stack.edgeOrigin]],
  );
  for (const more of [
    { channel: 'feed' },
    { role: 'assistant' },
    { key: grace.user.id },
    { ce_id: 'chosen' },
    { echo: false },
  ])
    assert.equal(assertProblem(await post(more), 400).code, 'bad-request', JSON.stringify(more));
  const own = unique('for Grace');
  await kafka.write({ key: grace.user.id, value: { text: own } });
  await graces.receives(own);
  assert.ok(!graces.texts.includes(text));
  for (const stream of [adas, graces]) stream.cut();
});

/** @typedef {{ channel: string, key: string, headers: Record<string, string>, value: unknown }} Signable */

/** The headers of a record, signed as docs/events.md describes. @param {Signable} record @param {Buffer} secret */
function signed({ channel, key, headers, value }, secret) {
  const number = (/** @type {number} */ count) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(count));
    return bytes;
  };
  const part = (/** @type {string} */ text) => Buffer.concat([number(Buffer.byteLength(text)), Buffer.from(text)]);
  const names = Object.keys(headers)
    .filter((name) => name === 'content-type' || name.startsWith('ce_'))
    .sort();
  const bytes = Buffer.concat([
    ...['causeway-record-v1', channel, key].map(part),
    number(names.length),
    ...names.flatMap((name) => [part(name), part(headers[name] ?? '')]),
    Buffer.from([1]),
    part(JSON.stringify(value)),
  ]);
  const signature = createHmac('sha256', secret).update(bytes).digest('base64url');
  return { ...headers, 'causeway-signature': `k1.${signature}` };
}
