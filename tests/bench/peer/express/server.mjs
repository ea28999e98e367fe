// @ts-nocheck: its packages are installed by the bench only, outside the tree.
//
// A peer: the BFF that most tutorials build, of Express with express-session in Redis and kafkajs. It does what
// `/auth/session`, `/events/chat` and `/stream` do and nothing else. A sign-in asks no provider, as it is not what is
// measured.
//
//     node server.mjs PORT REDIS_URL [KAFKA_BROKER INBOUND_TOPIC OUTBOUND_TOPIC]

import { randomBytes, randomUUID } from 'node:crypto';

import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { Kafka, logLevel } from 'kafkajs';
import { createClient } from 'redis';

const [port, redisUrl, broker, inbound, outbound] = process.argv.slice(2);
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
  const { id = 'github:1000' } = request.query;
  request.session.user = { id, name: 'Ada Lovelace', email: 'ada@causeway.example' };
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

if (broker) {
  const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR });
  const producer = kafka.producer();
  await producer.connect();
  app.post('/events/chat', express.json(), async (request, response) => {
    const { user } = request.session;
    if (!user || request.get('X-CSRF') !== '1') return response.status(user ? 403 : 401).end();
    const headers = { ce_id: randomUUID(), ce_type: request.body.type, ce_subject: user.id };
    const messages = [{ key: user.id, value: JSON.stringify(request.body.data), headers }];
    await producer.send({ topic: inbound, acks: -1, messages });
    response.status(202).json({ id: headers.ce_id });
  });

  const streams = new Map();
  const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: outbound });
  await consumer.run({
    eachMessage: ({ partition, message }) => {
      streams.get(message.key?.toString())?.write(`id: ${partition}.${message.offset}\ndata: ${message.value}\n\n`);
    },
  });
  app.get('/stream', (request, response) => {
    const { user } = request.session;
    if (!user) return response.status(401).end();
    response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }).write(': open\n\n');
    streams.set(user.id, response);
    request.on('close', () => streams.get(user.id) === response && streams.delete(user.id));
  });
}

app.listen(Number(port), '127.0.0.1');
