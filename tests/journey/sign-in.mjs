// Signs an agent in by following the identity provider's own pages.

import assert from 'node:assert/strict';

import { Agent } from './agent.mjs';

/** @typedef {'github' | 'entra'} Provider */

/**
 * Goes as far as the provider sends the browser back, and stops there: nobody has asked the edge's callback yet.
 * @param {Agent} agent
 * @param {Provider} provider
 * @param {string} login of one of the emulators' users
 * @param {string} [returnTo]
 * @param {Record<string, string>} [more] what else the login is asked with
 */
export async function authorizeAt(agent, provider, login, returnTo = '/', more = {}) {
  const begun = await agent.visit(`/auth/${provider}/login?${new URLSearchParams({ return_to: returnTo, ...more })}`);
  assert.ok([302, 303].includes(begun.status), `login answers ${begun.status}: ${begun.text.slice(0, 300)}`);
  const authorize = new URL(begun.headers.location ?? '');
  const { action, fields } = formOf((await agent.visit(authorize)).text, login);
  const chosen = await agent.visit(new URL(action, authorize), {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: authorize.origin },
    body: new URLSearchParams(fields).toString(),
  });
  assert.equal(chosen.status, 302, `the provider answers ${chosen.status}: ${chosen.text.slice(0, 300)}`);
  return { authorize, callback: new URL(chosen.headers.location ?? '') };
}

/** The whole way. @param {Agent} agent @param {Provider} provider @param {string} login @param {string} [returnTo] */
export async function signIn(agent, provider, login, returnTo) {
  const { authorize, callback } = await authorizeAt(agent, provider, login, returnTo);
  return { authorize, callback, finished: await agent.visit(callback) };
}

/** A signed-in agent. @param {{ edgeOrigin: string, hostOrigin: string }} stack @param {Provider} provider @param {string} login */
export async function signedIn(stack, provider, login) {
  const agent = new Agent(stack);
  const { finished } = await signIn(agent, provider, login);
  assert.equal(finished.status, 303, `the callback answers ${finished.status}: ${finished.text.slice(0, 300)}`);
  const { authenticated, user } = await agent.session();
  assert.equal(authenticated, true, `${login} is signed in`);
  return { agent, user };
}

/** The form of a user's button: where it posts, and what. @param {string} html @param {string} login */
function formOf(html, login) {
  for (const [, action = '', inner = ''] of html.matchAll(/<form\b[^>]*\baction="([^"]*)"[^>]*>(.*?)<\/form>/gs)) {
    const fields = [...inner.matchAll(/<input\b[^>]*\bname="([^"]*)"[^>]*\bvalue="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [name, unescape(value)],
    );
    if (
      fields.some(
        ([name, value]) =>
          (name === 'login' && value === login) || (name === 'email' && value?.startsWith(`${login}@`)),
      )
    ) {
      return { action: unescape(action), fields };
    }
  }
  throw new Error(`the provider's page has no button for ${login}:\n${html.slice(0, 1000)}`);
}

/** @param {string} text */
function unescape(text) {
  const entities = /** @type {Record<string, string>} */ ({
    '&amp;': '&',
    '&lt;': '<',
    '&gt;': '>',
    '&quot;': '"',
    '&#39;': "'",
    '&#x27;': "'",
  });
  return text.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, (entity) => entities[entity] ?? entity);
}
