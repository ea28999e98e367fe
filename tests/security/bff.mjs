// The BFF under attack, as a case sees it: sign in at it, call through it, and look at what came of an attack.

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
/** Of the way that a request takes, and of timers that are early. */
const BOUND_MARGIN_MS = 200;

/** Thrown by a case that this run cannot run, with why. */
export class CannotRun extends Error {}

export class Bff {
  /** Everything it answered in this run, for the leak scan. @type {{ answer: Answer, sent: Sent, mayHold: RegExp | undefined }[]} */
  traffic = [];
  /** Set while a case receives what may hold a token: where in the body it may. @type {RegExp | undefined} */
  mayHold = undefined;
  /** An attack that nothing could stop: what is seen of the BFF from now on may be its doing. */
  isOvertaken = false;
  #page = '';
  /** @type {Realm[]} */
  #fresh = [];

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
    this.#fresh = [...realms.fresh];
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

  /** Begins a sign-in and goes to the provider, but not back. @param {Browser} browser @param {Realm} [realm] @param {string} [returnTo] @returns {Promise<Flow>} */
  async begin(browser, realm = this.realms.oidc, returnTo = undefined) {
    const begun = await browser.visit(this.path.login(realm.id, returnTo));
    this.assertRedirects(begun, `login answers ${begun.text.slice(0, 300)}`);
    const authorize = new URL(begun.headers.location ?? '');
    return { begun, authorize, callback: () => this.back(authorize) };
  }

  /** Lets the provider answer: the target of the callback that a browser would go to. @param {URL} authorize */
  async back(authorize) {
    const answer = await exchange(authorize.origin, authorize.pathname + authorize.search);
    assert.equal(answer.status, 302, `the provider answers ${answer.status}`);
    return (answer.headers.location ?? '').replace(this.origin, '');
  }

  /** The whole way. @param {Browser} browser @param {Realm} [realm] @param {string} [returnTo] */
  async signIn(browser, realm = this.realms.oidc, returnTo = undefined) {
    const flow = await this.begin(browser, realm, returnTo);
    return browser.arrive(await flow.callback());
  }

  /** A signed-in browser. @param {Realm} [realm] */
  async signedIn(realm = this.realms.oidc) {
    const browser = this.browser();
    const answer = await this.signIn(browser, realm);
    this.assertRedirects(answer, `the callback answers ${answer.text.slice(0, 300)}\n${this.tail()}`);
    const user = await this.user(browser);
    assert.ok(user, 'signed in');
    return { browser, user };
  }

  /** Adds an account to the session of a browser. @param {Browser} browser @param {Realm} realm */
  async connect(browser, realm) {
    const begun = await browser.visit(this.path.connect(realm.id), { headers: { 'Sec-Fetch-Site': 'same-origin' } });
    this.assertRedirects(begun, `connecting answers ${begun.text.slice(0, 300)}`);
    const answer = await browser.arrive(await this.back(new URL(begun.headers.location ?? '')));
    this.assertRedirects(answer, `the callback answers ${answer.text.slice(0, 300)}\n${this.tail()}`);
  }

  /** Whether an answer sends a browser on, by a status that the profile allows for it. @param {Pick<Answer, 'status'>} answer */
  isRedirect({ status }) {
    return this.profile.redirects.includes(status);
  }

  /** @param {Answer} answer @param {string} about */
  assertRedirects(answer, about) {
    assert.ok(this.isRedirect(answer), `${about}: ${answer.status}`);
  }

  /** What takes the header against CSRF off a request. @returns {Record<string, undefined>} */
  get withoutCsrf() {
    return Object.fromEntries(Object.keys(this.csrf).map((name) => [name, undefined]));
  }

  /** Waits until a session that has ended is believed nowhere any more. */
  bound() {
    return delay(this.profile.revocationBoundSeconds * 1_000 + BOUND_MARGIN_MS);
  }

  /** Who a browser is. @param {Browser} browser */
  async user(browser) {
    return this.profile.user(await browser.call(this.path.session));
  }

  /** Whether an answer gives the browser a session. @param {Answer} answer */
  givesSession(answer) {
    return setCookies(answer)
      .map(parseSetCookie)
      .some(({ name, isRemoval }) => name === this.profile.sessionCookie && !isRemoval);
  }

  /**
   * The common outcome of a refused sign-in, called E: no session, no call of an API, no code redeemed where that is
   * forbidden, the fixed page, and a refusal in the log, of the reason that the case means.
   * @param {Browser} browser @param {() => Promise<Answer>} attack
   * @param {{ realm?: Realm, redeems?: boolean, status?: number | number[], why?: string, reason?: string | string[] }} [expected] `redeems`: the code may have been sent to the provider; `reason`: the only ones that prove anything, as the profile names them
   */
  async refused(
    browser,
    attack,
    { realm = this.realms.oidc, redeems = false, status = 400, why = '', reason = undefined } = {},
  ) {
    // The one API that is asked who somebody is belongs to the sign-in of its own provider.
    const calls = () =>
      this.upstream.seen.length +
      this.otherUpstream.seen.filter(({ path }) => !redeems || path !== this.profile.otherApi.own).length;
    const before = { user: await this.user(browser), calls: calls(), codes: realm.asked('token').length };
    const answer = await attack();
    const about = `${why || answer.target.slice(0, 200)} (answered ${answer.status})`;
    assert.ok([status].flat().includes(answer.status), `${about}: not ${status}\n${this.tail()}`);
    assert.equal(this.givesSession(answer), false, `${about}: a session cookie`);
    assert.equal(await this.user(browser), before.user, `${about}: changed who is signed in`);
    assert.equal(calls(), before.calls, `${about}: an API was called`);
    if (!redeems) assert.equal(realm.asked('token').length, before.codes, `${about}: the code was redeemed`);
    if (answer.status === 400) this.#assertFixedPage(answer, about);
    await this.rejected(answer, about, reason);
    return answer;
  }

  /** One page for all reasons: an attacker learns nothing from it, and nothing of the request is in it. @param {Answer} answer @param {string} about */
  #assertFixedPage({ headers, text }, about) {
    assert.match(headers['content-type'] ?? '', /^text\/html/, about);
    assert.match(headers['cache-control'] ?? '', /no-store/, about);
    const page = this.profile.fixedPage(text);
    this.#page ||= page;
    assert.equal(page, this.#page, `${about}: another page than other refusals`);
  }

  /** The log counts the refusal of a request once, and for one of these reasons. @param {Answer} answer @param {string} about @param {string | string[]} [reason] */
  async rejected(answer, about, reason) {
    if (!this.running) return;
    const wanted = [reason ?? []].flat().map((name) => this.needs(this.profile.reasons[name], `reason ${name}`));
    const request = this.profile.requestAnswered(answer);
    assert.ok(request, `${about}: it is not the BFF that refuses`);
    /** @type {string[]} */
    let given = [];
    for (const deadline = Date.now() + LOG_WAIT_MS; Date.now() < deadline && !given.length; await delay(20)) {
      given = this.entries(this.running.logSinceStart())
        .filter((entry) => this.profile.requestOf(entry) === request)
        .flatMap((entry) => this.profile.rejection(entry) ?? []);
    }
    assert.equal(given.length, 1, `${about}: refusals in the log: ${JSON.stringify(given)}\n${this.tail()}`);
    assert.ok(
      !wanted.length || wanted.some((one) => one.test(given[0] ?? '')),
      `${about}: refused for ${given[0]}, not for ${reason}`,
    );
  }

  /** How often the log counts a refusal for this reason. @param {string} reason */
  rejections(reason) {
    const wanted = this.needs(this.profile.reasons[reason], `reason ${reason}`);
    return this.entries()
      .flatMap((entry) => this.profile.rejection(entry) ?? [])
      .filter((given) => wanted.test(given)).length;
  }

  /** Waits until the log counts more refusals for this reason than before. @param {string} reason @param {number} before @param {string} about */
  async rejectedSince(reason, before, about) {
    if (!this.running) return;
    for (const deadline = Date.now() + LOG_WAIT_MS; this.rejections(reason) <= before; await delay(20)) {
      assert.ok(Date.now() < deadline, `${about}: no refusal in the log for ${reason}\n${this.tail()}`);
    }
  }

  /** The structured lines of its log. @returns {Record<string, unknown>[]} */
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

  tail() {
    return (this.running?.log() ?? '').trimEnd().split('\n').slice(-4).join('\n');
  }

  /**
   * Does something while the BFF runs with other settings or with nothing in its memory, and sets it right afterwards.
   * @param {import('./profile/causeway-edge.mjs').Variables} variables @param {() => Promise<unknown>} what
   */
  async restarted(variables, what) {
    await this.reconfigured(async (restart) => {
      await restart(variables);
      await what();
    });
  }

  /**
   * The same with several settings one after the other.
   * @param {(restart: import('./profile/causeway-edge.mjs').Running['restart']) => Promise<unknown>} what
   */
  async reconfigured(what) {
    const { running } = this;
    if (!running) throw new CannotRun('needs a BFF that the suite can restart');
    try {
      await what(running.restart);
    } finally {
      // Nothing of a lie is remembered.
      this.provider.reset();
      this.#fresh = this.profile.moreFresh(this.provider);
      await running.restart();
    }
  }

  /** A provider of which the BFF remembers nothing: its metadata and keys are fetched when a case first uses it. */
  async fresh() {
    if (!this.#fresh.length) {
      if (!this.running) throw new CannotRun('needs a provider that nothing was asked of yet');
      this.#fresh = this.profile.moreFresh(this.provider);
      await this.running.restart();
    }
    const realm = /** @type {Realm} */ (this.#fresh.shift());
    realm.reset();
    return realm;
  }

  /** How many instances may serve at once, each with a memory of its own. */
  get instances() {
    return this.running?.instances ?? this.profile.instances;
  }

  /** The provider whose tokens the API behind the BFF takes. */
  get apiRealm() {
    return this.needs(this.provider.realms.get(this.profile.api.provider), 'provider of the API');
  }

  /** @template T @param {T | undefined} part @param {string} what @returns {T} */
  needs(part, what) {
    if (part === undefined) throw new CannotRun(`the profile has no ${what}`);
    return part;
  }
}
