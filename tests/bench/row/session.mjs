// The session check: a request with a valid session, and nothing else.

import { loaded } from '../contestant/loaded.mjs';
import { startSessionCheckers } from '../contestant/session.mjs';
import { FIGURES } from '../measure/wrk.mjs';

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Session check',
  about:
    'A valid session: `GET /auth/session` of the edge and of a plain Express BFF (express-session, connect-redis), ' +
    'and `GET /oauth2/auth` of oauth2-proxy with sessions in Redis. The edge opens the sealed cookie each time, ' +
    'the sealed record once in an isolate, and asks the coordinator (a Durable Object; Redis) once in ' +
    '`REVOCATION_BOUND_SECONDS`, 10 by default. The peers ask Redis each time; theirs stores nothing on disk, ' +
    'whereas ours stores each write before it answers.',
  needs: ['edge', 'floor', 'express', 'oauth2-proxy'],
  figures: FIGURES,
  async prepare(scope) {
    const checkers = await startSessionCheckers(scope);
    return [{ name: '', contestants: checkers.map(({ who, load }) => loaded(who, load)) }];
  },
};
