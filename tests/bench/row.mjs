// The rows of the benchmark, in the order of the page.

import coldStart from './row/cold-start.mjs';
import empty from './row/empty.mjs';
import growth from './row/growth.mjs';
import hear from './row/hear.mjs';
import idle from './row/idle.mjs';
import proxy from './row/proxy.mjs';
import refresh from './row/refresh.mjs';
import resume from './row/resume.mjs';
import say from './row/say.mjs';
import session from './row/session.mjs';
import signIn from './row/sign-in.mjs';
import size from './row/size.mjs';

/**
 * What must be built or installed.
 * @typedef {'edge' | 'floor' | 'express' | 'kafka-client' | 'oauth2-proxy' | 'centrifugo' | 'nginx'} Need
 */
/**
 * @typedef {object} Row
 * @property {string} title
 * @property {string} about what is measured, in Markdown
 * @property {readonly Need[]} needs
 * @property {readonly import('./report/table.mjs').Figure[]} figures the first is charted and compared
 * @property {number} [rounds] at most, for instance 1 for a figure that does not vary
 * @property {number} [seconds] of a measurement, at most, so that a row of many cases ends in time
 * @property {number} [warmUpSeconds] 0 if each measurement starts from nothing
 * @property {boolean} [byContestant] all cases of a contestant are measured one after the other
 * @property {boolean} [linuxOnly] reads /proc
 * @property {(scope: import('./scope.mjs').Scope) => Promise<import('./measure/round.mjs').Case[]>} prepare
 * starts all contestants
 */

/** @type {Readonly<Record<string, Row>>} */
export const ROWS = Object.freeze({
  empty,
  session,
  proxy,
  'sign-in': signIn,
  refresh,
  'cold-start': coldStart,
  say,
  hear,
  idle,
  resume,
  size,
  growth,
});
