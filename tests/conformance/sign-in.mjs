// Follows the provider's own pages as a browser does.

import assert from 'node:assert/strict';

import { Agent } from '../journey/agent.mjs';

const MAX_STEPS = 12;

/**
 * Signs in and consents at the provider, as far as it sends the browser back: nobody has asked the edge's callback yet.
 * @param {Agent} agent
 * @param {string} id the provider's, at the edge
 * @param {string} login
 * @param {string} [returnTo]
 */
export async function authorizeAt(agent, id, login, returnTo = '/') {
  const begun = await agent.visit(`/auth/${id}/login?return_to=${encodeURIComponent(returnTo)}`);
  assert.equal(begun.status, 303, `login answers ${begun.status}: ${begun.text.slice(0, 300)}`);
  const authorize = new URL(begun.headers.location ?? '');
  return { authorize, callback: await walk(agent, authorize, { login, password: 'any' }) };
}

/** The whole way. @param {Agent} agent @param {string} id @param {string} login @param {string} [returnTo] */
export async function signIn(agent, id, login, returnTo) {
  const { authorize, callback } = await authorizeAt(agent, id, login, returnTo);
  return { authorize, callback, finished: await agent.visit(callback) };
}

/** A signed-in agent. @param {{ edgeOrigin: string, hostOrigin: string }} stack @param {string} id @param {string} login */
export async function signedIn(stack, id, login) {
  const agent = new Agent(stack);
  const { finished } = await signIn(agent, id, login);
  assert.equal(finished.status, 303, `the callback answers ${finished.status}: ${finished.text.slice(0, 300)}`);
  assert.equal((await agent.session()).authenticated, true, `${login} is signed in`);
  return agent;
}

/**
 * Follows redirects and submits forms until the browser is sent to the edge.
 * @param {Agent} agent
 * @param {URL} from
 * @param {Record<string, string>} fields what a form is filled with, beside what it holds already
 */
export async function walk(agent, from, fields) {
  let answer = await agent.visit(from);
  for (let step = 0; step < MAX_STEPS; step++) {
    if (answer.status === 303 || answer.status === 302) {
      const next = new URL(answer.headers.location ?? '', answer.url);
      if (next.origin === agent.edge) return next;
      answer = await agent.visit(next);
      continue;
    }
    assert.equal(answer.status, 200, `${answer.url} answers ${answer.status}: ${answer.text.slice(0, 500)}`);
    const [, action = '', inner = ''] = /<form\b[^>]*\baction="([^"]+)"[^>]*>(.*?)<\/form>/s.exec(answer.text) ?? [];
    assert.ok(action, `no form on ${answer.url}`);
    const hidden = [...inner.matchAll(/<input\b[^>]*\bname="([^"]+)"[^>]*\bvalue="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [name, value],
    );
    answer = await agent.visit(new URL(action, answer.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: new URL(answer.url).origin },
      body: new URLSearchParams({ ...fields, ...Object.fromEntries(hidden) }).toString(),
    });
  }
  throw new Error(`the provider leads nowhere after ${MAX_STEPS} steps, at last to ${answer.url}`);
}
