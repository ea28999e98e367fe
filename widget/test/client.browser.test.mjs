import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { ADA, GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('the client, on a page without the widget', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  beforeEach(async () => {
    edge.pages.set('/client', {
      policy: "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><title>Client</title>',
    });
    await widget.open(`${widget.edgeOrigin}/client`);
    await widget.page.evaluate(async () => {
      const { createClient } = await import(String('/assets/client.js'));
      Object.assign(globalThis, { client: createClient({ edge: location.origin }), heard: [], states: [] });
    });
  });

  /** What the client's callbacks were called with. @returns {Promise<string[]>} */
  const heard = () => widget.page.evaluate(() => Reflect.get(globalThis, 'heard'));

  /** @param {string} last */
  const hears = (last) => widget.page.waitForFunction((text) => Reflect.get(globalThis, 'heard').at(-1) === text, last);

  const subscribe = () =>
    widget.page.evaluate(() => {
      const { client, heard } = /** @type {any} */ (globalThis);
      const end = client.subscribe({
        onState: (/** @type {string} */ state) => heard.push(state),
        onSession: (/** @type {any} */ { user }) => heard.push(user ? user.name : 'nobody'),
        onGap: (/** @type {string} */ reason) => heard.push(`gap: ${reason}`),
        onEvent: (/** @type {any} */ { type, data }) => heard.push(`${type} ${data.text}`),
      });
      Object.assign(globalThis, { end });
    });

  test('tells who is signed in, each event once, and what may be missing', async () => {
    edge.user = ADA;
    edge.publish('message', { text: 'one' });
    await subscribe();
    await hears('message one');
    assert.deepEqual(await heard(), ['connecting', 'Ada Lovelace', 'online', 'message one']);
    edge.cutStreams();
    edge.publish('note', { text: 'two' });
    await hears('note two');
    edge.write('id\nevent: reset\ndata: {"reason":"retention"}\n\n');
    await hears('gap: retention');
    assert.equal((await heard()).filter((text) => text === 'message one').length, 1);
    await widget.page.evaluate(() => Reflect.get(globalThis, 'end')());
    await until(() => edge.streams.size === 0, 'the stream is closed');
  });

  test("another user's events come after the change is told", async () => {
    edge.user = ADA;
    await subscribe();
    await hears('online');
    edge.replaceSession(GRACE);
    edge.publish('message', { text: 'for Grace' });
    await hears('message for Grace');
    const all = await heard();
    assert.ok(all.indexOf('Grace Hopper') < all.indexOf('message for Grace'), all.join());
    await widget.page.evaluate(() => Reflect.get(globalThis, 'client').logout());
    await hears('nobody');
    const heardAll = await heard();
    assert.equal(heardAll[heardAll.indexOf('nobody') - 1], 'signed-out');
  });

  test('two subscriptions share a stream, and hear their channels', async () => {
    edge.user = ADA;
    await subscribe();
    await hears('online');
    await subscribe();
    edge.publish('message', { text: 'to both' });
    await hears('message to both');
    await until(() => edge.streams.size === 1, 'one stream is open');
    assert.deepEqual((await heard()).slice(-2), ['message to both', 'message to both']);
  });

  test('sends in order under keys, and takes back what was not accepted', async () => {
    edge.user = ADA;
    edge.postFailures = [{ status: 503 }, { status: 503 }];
    const sent = await widget.page.evaluate(async () => {
      const { client } = /** @type {any} */ (globalThis);
      const controller = new AbortController();
      const all = Promise.allSettled([
        client.send('chat', 'message', { text: 'one' }, { key: 'key-1' }),
        client.send('chat', 'message', { text: 'two' }, { signal: controller.signal }),
        client.send('chat', 'message', { text: 'three' }),
      ]);
      setTimeout(() => controller.abort());
      return (await all).map((result) => (result.status === 'fulfilled' ? result.value.id : result.reason.name));
    });
    const keyOf = (/** @type {string} */ text) => edge.posts.findLast((post) => post.text === text)?.key ?? '';
    assert.deepEqual(sent, [edge.idOf('key-1'), 'AbortError', edge.idOf(keyOf('three'))]);
    assert.deepEqual([...new Set(edge.posts.map(({ text }) => text))], ['one', 'three']);
    assert.ok(edge.posts.filter(({ text }) => text === 'one').every(({ key }) => key === 'key-1'));
  });

  test('a rejected event rejects its promise with what the edge said', async () => {
    edge.user = ADA;
    edge.postFailures = [{ status: 413, title: 'Too large' }];
    const reason = await widget.page.evaluate(() =>
      /** @type {any} */ (globalThis).client
        .send('chat', 'message', { text: 'x' })
        .catch((/** @type {any} */ { message, status }) => `${message} ${status}`),
    );
    assert.equal(reason, 'Too large 413');
    edge.user = null;
    await widget.page.evaluate(() => Reflect.get(globalThis, 'client').session());
    const code = await widget.page.evaluate(() =>
      /** @type {any} */ (globalThis).client
        .send('chat', 'message', {})
        .catch((/** @type {any} */ error) => error.code),
    );
    assert.equal(code, 'signed-out');
  });

  test('an event that cannot be sent fails alone', async () => {
    edge.user = ADA;
    const results = await widget.page.evaluate(async () => {
      const { client } = /** @type {any} */ (globalThis);
      const circle = {};
      Object.assign(circle, { circle });
      const data = { text: 'as it was' };
      const all = Promise.allSettled([
        client.send('chat', 'message', circle),
        client.send('chat', 'message', { number: 1n }),
        client.send('chat', 'message', {}, { key: 'schlüssel' }),
        client.send('chat', 'message', {}, { key: '€' }),
        client.send('\ud800', 'message', {}),
        client.send('chat', 'message', data),
      ]);
      data.text = 'changed later';
      return (await all).map(({ status }) => status);
    });
    assert.deepEqual(results, [...Array(5).fill('rejected'), 'fulfilled']);
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['as it was'],
    );
  });

  test('asks for history, sessions and upstream APIs', async () => {
    edge.user = ADA;
    const page = { events: [{ id: 'a', type: 'message', data: { text: 'old' } }], before: null, complete: true };
    edge.answers.set('/events/chat/history', page);
    edge.answers.set('/auth/sessions', { sessions: [{ id: 's', current: true }] });
    edge.answers.set('/bff/github/user/repos', [{ full_name: 'ada/engine' }]);
    const answers = await widget.page.evaluate(async () => {
      const { client } = /** @type {any} */ (globalThis);
      const response = await client.bff('github').fetch('/user/repos?page=2');
      return [
        (await client.session()).user.name,
        await client.history('chat', { limit: 7, before: 'v2.chat.1.0.9' }),
        await client.sessions(),
        await response.json(),
      ];
    });
    assert.deepEqual(answers, ['Ada Lovelace', page, [{ id: 's', current: true }], [{ full_name: 'ada/engine' }]]);
    assert.deepEqual(edge.calls, [
      { url: '/bff/github/user/repos?page=2', csrf: '1' },
      { url: '/events/chat/history?limit=7&before=v2.chat.1.0.9', csrf: '1' },
      { url: '/auth/sessions', csrf: '1' },
    ]);
  });

  test('signs in in a window of its own, which closes', async () => {
    await widget.page.evaluate(() => {
      const button = document.body.appendChild(document.createElement('button'));
      button.textContent = 'Sign in';
      button.onclick = async () => {
        const info = await Reflect.get(globalThis, 'client').login('github', { popup: true });
        Reflect.get(globalThis, 'heard').push(info.user.name);
      };
    });
    // The page in the window uses the client, too.
    edge.pages.set('/client', {
      policy: "default-src 'none'; script-src 'self'; connect-src 'self'",
      html: '<!doctype html><script type="module" src="/popup.js"></script>',
    });
    await widget.context.route(`${widget.edgeOrigin}/popup.js`, (route) =>
      route.fulfill({
        contentType: 'text/javascript',
        body: `import { createClient } from '/assets/client.js';
        await createClient({ edge: location.origin }).session();`,
      }),
    );
    const [popup] = await Promise.all([
      widget.context.waitForEvent('page'),
      widget.page.getByRole('button', { name: 'Sign in' }).click(),
    ]);
    await hears('Ada Lovelace');
    if (!popup.isClosed()) await popup.waitForEvent('close');
    assert.equal(widget.page.url(), `${widget.edgeOrigin}/client`, 'the page stays');
  });

  test('a window that the browser blocks is told', async () => {
    const code = await widget.page.evaluate(() => {
      globalThis.open = () => null;
      return /** @type {any} */ (globalThis).client
        .login('github', { popup: true })
        .catch((/** @type {any} */ error) => error.code);
    });
    assert.equal(code, 'popup-blocked');
  });

  test('an edge that does not respond is unavailable, and says nothing about who is signed in', async () => {
    await widget.context.setOffline(true);
    const codes = await widget.page.evaluate(async () => {
      const { client } = /** @type {any} */ (globalThis);
      const calls = [
        client.send('chat', 'message', {}),
        client.session(),
        client.history('chat'),
        client.sessions(),
        client.endSession('s'),
      ];
      return (await Promise.allSettled(calls)).map((result) => result.status === 'rejected' && result.reason.code);
    });
    assert.deepEqual(codes, Array(5).fill('unavailable'));
    await widget.context.setOffline(false);
  });

  test('the end of a subscription leaves the check of another caller alone', async () => {
    edge.user = ADA;
    const release = edge.holdSession();
    const name = widget.page.evaluate(async () => {
      const { client } = /** @type {any} */ (globalThis);
      const end = client.subscribe({});
      const session = client.session();
      end();
      return (await session).user.name;
    });
    release();
    assert.equal(await name, 'Ada Lovelace');
  });

  test('is all that the example page needs', async () => {
    edge.answers.set('/bff/github/user/repos', [{ full_name: 'ada/engine' }]);
    await widget.open(`${widget.hostOrigin}/live`);
    await widget.page.getByRole('button', { name: 'Sign in with GitHub' }).click();
    await widget.page.getByText('ada/engine').waitFor();
    await widget.page.getByText('online').waitFor();
    edge.publish('notice', { text: 'A build has failed' });
    await widget.page.getByText('notice: A build has failed').waitFor();
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    const signIn = widget.page.getByRole('button', { name: 'Sign in with GitHub' });
    await signIn.focus();
    assert.equal(await widget.page.getByText('ada/engine').count(), 0);
    const checked = widget.page.waitForResponse('**/auth/session');
    await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
    await (await checked).finished();
    // The answer has been taken in.
    await widget.page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
    assert.equal(await signIn.evaluate((node) => node === document.activeElement), true, 'the focus stays');
  });
});
