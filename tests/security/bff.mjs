// The BFF under attack, for the cases: sign in, call APIs through it, and check the outcome of an attack.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { Browser, parseSetCookie, setCookies } from '../support/browser.mjs';
import { exchange, sendBytes } from '../support/exchange.mjs';

/** @typedef {import('../support/exchange.mjs').Answer} Answer */
/** @typedef {import('../support/exchange.mjs').Sent} Sent */
/** @typedef {import('./provider/realm.mjs').Realm} Realm */
/** @typedef {typeof import('./profile/causeway.mjs')} Profile */
/** @typedef {{ begun: Answer, authorize: URL, callback: () => Promise<string> }} Flow */

const LOG_WAIT_MS = 3_000;
/** For the time that a request takes, and for early timers. */
const BOUND_MARGIN_MS = 200;

/** Thrown by a case that cannot run here, with the reason. */
export class CannotRun extends Error {}

export class Bff {
  /**
   * Its answers in this run, for the leak scan.
   * @type {{ answer: Answer, sent: Sent, mayHold: RegExp | undefined }[]}
   */
  traffic = [];
  /** While an answer may hold a token: the place in its body. @type {RegExp | undefined} */
  mayHold = undefined;
  /** Whether an attack could not be stopped, and so may affect every later case. */
  isOvertaken = false;
  #page = '';
  /** @type {Realm[]} */
  #unused = [];

  /**
   * @param {object} parts
   * @param {Profile} parts.profile
   * @param {string} parts.origin
   * @param {import('./profile/causeway-edge.mjs').Running | undefined} parts.running
   * @param {import('./provider/stub.mjs').ProviderStub} parts.provider
   * @param {ReturnType<Profile['register']>} parts.realms
   * @param {import('./upstream.mjs').UpstreamStub} parts.upstream
   * @param {import('./upstream.mjs').UpstreamStub} parts.otherUpstream
   * @param {import('./upstream.mjs').UpstreamStub} parts.bridge
   */
  constructor({ profile, origin, running, provider, realms, upstream, otherUpstream, bridge }) {
    this.profile = profile;
    this.origin = origin;
    this.running = running;
    this.provider = provider;
    this.realms = realms;
    this.#unused = [...realms.unused];
    this.upstream = upstream;
    this.otherUpstream = otherUpstream;
    this.bridge = bridge;
    this.csrf = profile.csrf;
    this.path = profile.path;
  }

  /** @param {Answer} answer @param {Sent} sent */
  record(answer, sent) {
    this.traffic.push({ answer, sent, mayHold: this.mayHold });
  }

  browser() {
    return new Browser({
      origin: this.origin,
      csrf: this.csrf,
      exchange: async (origin, target, sent) => {
        const answer = await exchange(origin, target, sent);
        this.record(answer, sent);
        return answer;
      },
    });
  }

  /** Sends bytes that need not be HTTP. @param {string} bytes each character one byte @param {number} [silenceMs] */
  async sendBytes(bytes, silenceMs) {
    const answer = await sendBytes(this.origin, bytes, silenceMs);
    this.record(answer, {});
    return answer;
  }

  /**
   * Begins a sign-in; its callback is not requested yet.
   * @param {Browser} browser @param {Realm} [realm] @param {string} [returnTo] @returns {Promise<Flow>}
   */
  async begin(browser, realm = this.realms.oidc, returnTo = undefined) {
    const begun = await browser.visit(this.path.login(realm.id, returnTo));
    this.assertRedirects(begun, `login answers ${begun.text.slice(0, 300)}`);
    const authorize = new URL(begun.headers.location ?? '');
    return { begun, authorize, callback: () => this.callbackOf(authorize) };
  }

  /** Requests the provider's authorization endpoint, and returns the target of the callback. @param {URL} authorize */
  async callbackOf(authorize) {
    const answer = await exchange(authorize.origin, authorize.pathname + authorize.search);
    assert.equal(answer.status, 302, `the provider answers ${answer.status}`);
    return (answer.headers.location ?? '').replace(this.origin, '');
  }

  /** Signs in, callback included. @param {Browser} browser @param {Realm} [realm] @param {string} [returnTo] */
  async signIn(browser, realm = this.realms.oidc, returnTo = undefined) {
    const flow = await this.begin(browser, realm, returnTo);
    return browser.arrive(await flow.callback());
  }

  /** Returns a signed-in browser and its user. @param {Realm} [realm] */
  async signedIn(realm = this.realms.oidc) {
    const browser = this.browser();
    const answer = await this.signIn(browser, realm);
    this.assertRedirects(answer, `the callback answers ${answer.text.slice(0, 300)}\n${this.logTail()}`);
    const user = await this.user(browser);
    assert.ok(user, 'signed in');
    return { browser, user };
  }

  /** Links an account to the session of a browser. @param {Browser} browser @param {Realm} realm */
  async connect(browser, realm) {
    const begun = await browser.visit(this.path.connect(realm.id), { headers: { 'Sec-Fetch-Site': 'same-origin' } });
    this.assertRedirects(begun, `connecting answers ${begun.text.slice(0, 300)}`);
    const answer = await browser.arrive(await this.callbackOf(new URL(begun.headers.location ?? '')));
    this.assertRedirects(answer, `the callback answers ${answer.text.slice(0, 300)}\n${this.logTail()}`);
  }

  /** Whether an answer redirects, by a status that the profile allows. @param {Pick<Answer, 'status'>} answer */
  isRedirect({ status }) {
    return this.profile.redirects.includes(status);
  }

  /** @param {Answer} answer @param {string} context */
  assertRedirects(answer, context) {
    assert.ok(this.isRedirect(answer), `${context}: ${answer.status}`);
  }

  /** Overrides that remove the CSRF headers from a request. @returns {Record<string, undefined>} */
  get withoutCsrf() {
    return Object.fromEntries(Object.keys(this.csrf).map((name) => [name, undefined]));
  }

  /** Waits until an ended session is rejected everywhere. */
  revocationBound() {
    return delay(this.profile.revocationBoundSeconds * 1_000 + BOUND_MARGIN_MS);
  }

  /** The user who is signed in. @param {Browser} browser */
  async user(browser) {
    return this.profile.user(await browser.call(this.path.session));
  }

  /** Whether an answer sets a session cookie. @param {Answer} answer */
  givesSession(answer) {
    return setCookies(answer)
      .map(parseSetCookie)
      .some(({ name, isRemoval }) => name === this.profile.sessionCookie && !isRemoval);
  }

  /**
   * Asserts the common outcome of a rejected sign-in: no session, no call of an API, no code redeemed where that is
   * forbidden, the fixed page, and a rejection in the log, for the reason that the case means.
   * @param {Browser} browser @param {() => Promise<Answer>} attack
   * @param {{ realm?: Realm, redeems?: boolean, status?: number | number[], why?: string,
   * reason?: string | string[] }} [expected] `redeems`: the code may have been sent to the provider; `reason`: the
   * accepted reasons, by the profile's names
   */
  async assertSignInRejected(
    browser,
    attack,
    { realm = this.realms.oidc, redeems = false, status = 400, why = '', reason = undefined } = {},
  ) {
    // A call of the other provider's API for the user's profile is part of that provider's sign-in.
    const calls = () =>
      this.upstream.seen.length +
      this.otherUpstream.seen.filter(({ path }) => !redeems || path !== this.profile.otherApi.own).length;
    const before = { user: await this.user(browser), calls: calls(), codes: realm.requestsTo('token').length };
    const answer = await attack();
    const context = `${why || answer.target.slice(0, 200)} (answered ${answer.status})`;
    assert.ok([status].flat().includes(answer.status), `${context}: not ${status}\n${this.logTail()}`);
    assert.equal(this.givesSession(answer), false, `${context}: a session cookie`);
    assert.equal(await this.user(browser), before.user, `${context}: another user is signed in`);
    assert.equal(calls(), before.calls, `${context}: an API was called`);
    if (!redeems) assert.equal(realm.requestsTo('token').length, before.codes, `${context}: the code was redeemed`);
    if (answer.status === 400) this.#assertFixedPage(answer, context);
    await this.assertRejectionLogged(answer, context, reason);
    return answer;
  }

  /**
   * The page is the same for all reasons, and repeats nothing of the request.
   * @param {Answer} answer @param {string} context
   */
  #assertFixedPage({ headers, text }, context) {
    assert.match(headers['content-type'] ?? '', /^text\/html/, context);
    assert.match(headers['cache-control'] ?? '', /no-store/, context);
    const page = this.profile.fixedPage(text);
    this.#page ||= page;
    assert.equal(page, this.#page, `${context}: the page differs from other rejections`);
  }

  /**
   * Asserts that the log has one rejection of the request, for one of these reasons.
   * @param {Answer} answer @param {string} context @param {string | string[]} [reason]
   */
  async assertRejectionLogged(answer, context, reason) {
    if (!this.running) return;
    const wanted = [reason ?? []].flat().map((name) => this.needs(this.profile.reasons[name], `reason ${name}`));
    const request = this.profile.requestAnswered(answer);
    assert.ok(request, `${context}: the answer is not the BFF's`);
    /** @type {string[]} */
    let rejections = [];
    for (const deadline = Date.now() + LOG_WAIT_MS; Date.now() < deadline && !rejections.length; await delay(20)) {
      rejections = this.entries(this.running.logSinceStart())
        .filter((entry) => this.profile.requestOf(entry) === request)
        .flatMap((entry) => this.profile.rejection(entry) ?? []);
    }
    assert.equal(
      rejections.length,
      1,
      `${context}: rejections in the log: ${JSON.stringify(rejections)}\n${this.logTail()}`,
    );
    assert.ok(
      !wanted.length || wanted.some((one) => one.test(rejections[0] ?? '')),
      `${context}: rejected for ${rejections[0]}, not for ${reason}`,
    );
  }

  /** The number of rejections for this reason in the log. @param {string} reason */
  rejectionCount(reason) {
    const wanted = this.needs(this.profile.reasons[reason], `reason ${reason}`);
    return this.entries()
      .flatMap((entry) => this.profile.rejection(entry) ?? [])
      .filter((rejection) => wanted.test(rejection)).length;
  }

  /**
   * Waits until the log has more rejections for this reason than before.
   * @param {string} reason @param {number} before @param {string} context
   */
  async waitForRejection(reason, before, context) {
    if (!this.running) return;
    for (const deadline = Date.now() + LOG_WAIT_MS; this.rejectionCount(reason) <= before; await delay(20)) {
      assert.ok(Date.now() < deadline, `${context}: no rejection in the log for ${reason}\n${this.logTail()}`);
    }
  }

  /** The structured entries of its log. @returns {Record<string, unknown>[]} */
  entries(log = this.running?.log() ?? '') {
    return log.split('\n').flatMap((line) => {
      const from = line.indexOf('{"');
      try {
        return from < 0 ? [] : [JSON.parse(line.slice(from))];
      } catch {
        return [];
      }
    });
  }

  /** The end of its log, for failure messages. */
  logTail() {
    return (this.running?.log() ?? '').trimEnd().split('\n').slice(-4).join('\n');
  }

  /**
   * Runs a function while the BFF has other settings or an empty memory, and then restores it.
   * @param {import('./profile/causeway-edge.mjs').Variables} variables @param {() => Promise<unknown>} what
   */
  async restarted(variables, what) {
    await this.reconfigured(async (restart) => {
      await restart(variables);
      await what();
    });
  }

  /**
   * The same for several settings in turn.
   * @param {(restart: import('./profile/causeway-edge.mjs').Running['restart']) => Promise<unknown>} what
   */
  async reconfigured(what) {
    const { running } = this;
    if (!running) throw new CannotRun('needs a BFF that the suite can restart');
    try {
      await what(running.restart);
    } finally {
      // Nothing of an override remains cached.
      this.provider.reset();
      this.#unused = this.profile.registerUnusedRealms(this.provider);
      await running.restart();
    }
  }

  /** A provider of which the BFF has cached nothing: its metadata and keys are fetched at the first use. */
  async unusedRealm() {
    if (!this.#unused.length) {
      if (!this.running) throw new CannotRun('needs a provider that no case has used');
      this.#unused = this.profile.registerUnusedRealms(this.provider);
      await this.running.restart();
    }
    const realm = /** @type {Realm} */ (this.#unused.shift());
    realm.reset();
    return realm;
  }

  /** How many instances may serve at once, each with its own memory. */
  get instances() {
    return this.running?.instances ?? this.profile.instances;
  }

  /** The provider whose tokens the API accepts. */
  get apiRealm() {
    return this.needs(this.provider.realms.get(this.profile.api.provider), 'provider of the API');
  }

  /** @template T @param {T | undefined} part @param {string} what @returns {T} */
  needs(part, what) {
    if (part === undefined) throw new CannotRun(`the profile has no ${what}`);
    return part;
  }
}
