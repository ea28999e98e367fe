// The HTTP cases by section, in the order in which they run.

import { cases as dpop } from './case/dpop.mjs';
import { cases as cookie, wholeRunCases } from './case/cookie.mjs';
import { cases as csrf } from './case/csrf.mjs';
import { cases as login } from './case/login.mjs';
import { cases as loginInteraction } from './case/login-interaction.mjs';
import { cases as loginProvider } from './case/login-provider.mjs';
import { cases as loginSession } from './case/login-session.mjs';
import { cases as claim } from './case/claim.mjs';
import { cases as tokenOwnership } from './case/token-ownership.mjs';
import { cases as logout } from './case/logout.mjs';
import { cases as configuration } from './case/configuration.mjs';
import { cases as malformed } from './case/malformed.mjs';
import { cases as proxyPath } from './case/proxy-path.mjs';
import { cases as proxy } from './case/proxy.mjs';
import { cases as redirect } from './case/redirect.mjs';
import { cases as refresh } from './case/refresh.mjs';
import { cases as refreshAtGitHub } from './case/refresh-github.mjs';
import { cases as store } from './case/store.mjs';
import { cases as token } from './case/token.mjs';
import { cases as upstream } from './case/upstream.mjs';

/** @type {Readonly<Record<string, readonly import('./case.mjs').Case[]>>} */
export const SECTIONS = Object.freeze({
  login: [...login, ...loginProvider, ...loginSession, ...loginInteraction],
  redirect,
  token: [...token, ...claim],
  cookie,
  csrf,
  proxy: [...proxyPath, ...proxy, ...upstream],
  refresh: [...refresh, ...refreshAtGitHub, ...tokenOwnership, ...store],
  logout,
  dpop,
  platform: [...configuration, ...malformed],
  'whole run': wholeRunCases,
});
