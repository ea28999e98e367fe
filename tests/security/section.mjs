// The HTTP cases by section, in the order in which they run.

import { cases as login } from './case/login.mjs';
import { cases as loginSession } from './case/login-session.mjs';
import { cases as claim } from './case/claim.mjs';
import { cases as redirect } from './case/redirect.mjs';
import { cases as token } from './case/token.mjs';

/** @type {Readonly<Record<string, readonly import('./case.mjs').Case[]>>} */
export const SECTIONS = Object.freeze({
  login: [...login, ...loginSession],
  redirect,
  token: [...token, ...claim],
});
