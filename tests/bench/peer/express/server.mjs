// @ts-nocheck: its packages are installed by the bench only, outside the tree.
//
// A peer: the BFF that most tutorials build, of Express with express-session in Redis. It does what `/auth/session`
// does and nothing else. A sign-in asks no provider, as it is not what is measured.
//
//     node server.mjs PORT REDIS_URL

import { randomBytes } from 'node:crypto';

import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';

const [port, redisUrl] = process.argv.slice(2);
const client = await createClient({ url: redisUrl }).connect();

const app = express();
app.use(
  session({
    store: new RedisStore({ client }),
    secret: randomBytes(32).toString('base64url'),
    name: 'sid',
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax', maxAge: 12 * 3600 * 1000 },
  }),
);

app.post('/sign-in', (request, response) => {
  request.session.user = { id: 'github:1000', name: 'Ada Lovelace', email: 'ada@causeway.example' };
  // Of the size that providers' tokens have.
  const token = () => randomBytes(600).toString('base64');
  request.session.tokens = { access: token(), refresh: token() };
  response.status(204).end();
});

app.get('/auth/session', (request, response) => {
  const { user } = request.session;
  // As the edge demands it of scripts.
  if (request.get('X-CSRF') !== '1') return response.status(403).end();
  response.set('Cache-Control', 'no-store').json({ authenticated: Boolean(user), user });
});

app.listen(Number(port), '127.0.0.1');
