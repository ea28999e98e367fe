import assert from 'node:assert/strict';
import { test } from 'node:test';

import { revocationBound } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { followToEdge, signIn, signedIn } from './sign-in.mjs';
import { callApi, sendLogoutToken, provider, stack } from './stack.mjs';

test("signing out leads to the provider, ends its session, too, and returns to the user's page", async () => {
  const browser = await signedIn(stack, 'corp', 'barbara');
  const thief = browser.copy();
  const begun = await browser.call('/auth/logout', { method: 'POST' });
  assert.equal(begun.status, 200, begun.text);
  const address = JSON.parse(begun.text).end_session;
  assert.equal((await browser.session()).authenticated, false, 'the session at the edge has already ended');
  assert.deepEqual(provider.refreshTokens('corp', 'barbara'), [], 'the tokens were revoked');

  const left = await browser.visit(`${address}?return_to=${encodeURIComponent(`${stack.hostOrigin}/chat?room=1`)}`);
  assert.equal(left.status, 303);
  const asked = new URL(left.headers.location ?? '');
  assert.equal(asked.href.split('?')[0], `${provider.issuer}/session/end`);
  const hint = JSON.parse(
    Buffer.from((asked.searchParams.get('id_token_hint') ?? '').split('.')[1] ?? '', 'base64url').toString(),
  );
  assert.equal(hint.sub, 'barbara');
  const state = asked.searchParams.get('state') ?? '';
  assert.ok(state.length >= 22);

  const notified = provider.eventsOf('backchannel.success', 'corp').length;
  const ended = provider.events.filter(({ name }) => name === 'end_session.success').length;
  const back = await followToEdge(browser, asked, { logout: 'yes' });
  assert.equal(provider.events.filter(({ name }) => name === 'end_session.success').length, ended + 1);
  assert.equal(back.href, `${stack.edgeOrigin}/auth/corp/logged-out?state=${state}`);
  const returned = await browser.visit(back);
  assert.equal(returned.status, 303);
  assert.equal(returned.headers.location, `${stack.hostOrigin}/chat?room=1`);
  assert.equal((await browser.visit(back)).headers.location, '/', 'the return address is used once');

  // The provider notifies every client of its session, including this one, whose session has ended.
  assert.equal(provider.eventsOf('backchannel.success', 'corp').length, notified + 1);
  assert.deepEqual(provider.eventsOf('backchannel.error', 'corp'), []);
  // The provider has no session any more, so it asks for the user.
  const { finished } = await signIn(browser, 'corp', 'another-user');
  assert.equal(finished.status, 303);
  assert.equal((await browser.session()).user.id, 'corp:another-user');
  await revocationBound();
  assert.equal((await thief.session()).authenticated, false);
});

for (const [id, by] of /** @type {const} */ ([
  ['corp', 'session'],
  ['keyed', 'user'],
])) {
  test(`S130: a provider that ends a user's session ends it here by back-channel logout (by ${by}), with its open stream`, async () => {
    const login = `radia-${id}`;
    const browser = await signedIn(stack, id, login);
    const stream = await (await Stream.open(browser)).opened();
    assert.equal(stream.status, 200);
    const elsewhere = await signedIn(stack, id, login);
    const bystander = await signedIn(stack, id, `bystander-${id}`);

    // At the provider itself: the edge takes no part.
    const notified = provider.eventsOf('backchannel.success', id).length;
    const page = await signOutAtProvider(browser);
    assert.match(page, /sign-?out/i);
    assert.equal(provider.eventsOf('backchannel.success', id).length, notified + 1);
    assert.deepEqual(provider.eventsOf('backchannel.error', id), []);

    assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
    await stream.until('the stream closes', () => stream.closed);
    assert.equal((await Stream.open(browser)).status, 401);
    await revocationBound();
    assert.equal((await browser.session()).authenticated, false);
    assert.equal((await callApi(browser, id)).status, 401);
    assert.equal((await elsewhere.session()).authenticated, by === 'session', `the logout token names the ${by}`);
    assert.equal((await bystander.session()).authenticated, true);
  });
}

test('a logout token is accepted once, and only from its own client', async () => {
  const browser = await signedIn(stack, 'keyed', 'margaret');
  const key = provider.keys.find(({ alg }) => alg === 'ES256') ?? {};
  const otherClients = await provider.logoutToken(key, 'corp', 'margaret');
  assert.equal((await sendLogoutToken('keyed', otherClients)).status, 400, "another client's");
  assert.equal((await browser.session()).authenticated, true);
  const token = await provider.logoutToken(key, 'keyed', 'margaret');
  assert.equal((await sendLogoutToken('keyed', token)).status, 200);
  assert.equal((await sendLogoutToken('keyed', token)).status, 400, 'again');
  await revocationBound();
  assert.equal((await browser.session()).authenticated, false);
});

/**
 * Signs out at the provider, and returns its confirmation page.
 * @param {import('../support/edge-browser.mjs').EdgeBrowser} browser
 */
async function signOutAtProvider(browser) {
  const question = await browser.visit(new URL(`${provider.issuer}/session/end`));
  const [, action = ''] = /<form\b[^>]*\baction="([^"]+)"/.exec(question.text) ?? [];
  const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(question.text) ?? [];
  const confirmed = await browser.visit(new URL(action), {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: provider.issuer },
    body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
  });
  assert.equal(confirmed.status, 303, confirmed.text);
  return (await browser.visit(new URL(confirmed.headers.location ?? ''))).text;
}
