// The HTTP cases by section, in the order in which they run.

import { cases as login } from './case/login.mjs';
import { cases as loginSession } from './case/login-session.mjs';

/** @type {Readonly<Record<string, readonly import('./case.mjs').Case[]>>} */
export const SECTIONS = Object.freeze({
  login: [...login, ...loginSession],
});
