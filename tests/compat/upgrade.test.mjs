// A deployment is upgraded and goes back, one part after the other, as docs/versioning.md says. With an equal contract,
// users notice nothing. With another one, both sides refuse each other, name both versions, and lose nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { signIn } from '../support/sign-in.mjs';
import { Stream } from '../support/stream.mjs';
import { deploy, kafka, logOf, origins, versions } from './deployment.mjs';

/** @type {{ edge: 'release' | 'tree', bridge: 'release' | 'tree' }[]} */
const WAY = [
  { edge: 'release', bridge: 'release' },
  // The bridge first.
  { edge: 'release', bridge: 'tree' },
  { edge: 'tree', bridge: 'tree' },
  // And back.
  { edge: 'tree', bridge: 'release' },
  { edge: 'release', bridge: 'release' },
];
/** Whether what one version stores may be unreadable for the other. */
const mayForget = lineOf(versions.release.edge) !== lineOf(versions.tree.edge);

const browser = new EdgeBrowser(origins);
/** Who signed in. */
let user = '';
/** Where the page's stream is. @type {string | undefined} */
let cursor;
/** What was written for the user and not heard yet. @type {string[]} */
let waiting = [];

for (const [step, from] of WAY.entries()) {
  const { edge, bridge } = from;
  test(`${step + 1}: edge of the ${edge}, bridge of the ${bridge}`, async () => {
    if (user) await write(`while nothing ran, before step ${step + 1}`);
    await deploy(from);
    await isSignedIn();
    await (versions[edge].contract === versions[bridge].contract ? converse(step + 1) : refuse(from, step + 1));
  });
}

/** The session of the first step holds, wherever formats may not have changed. */
async function isSignedIn() {
  let session = await browser.session();
  if (!user || (mayForget && !session.authenticated)) {
    await signIn(browser, 'github', 'ada');
    session = await browser.session();
  }
  assert.equal(session.authenticated, true);
  user ||= session.user.id;
  assert.equal(session.user.id, user);
}

/** Says, hears, resumes. @param {number} step */
async function converse(step) {
  const said = `said in step ${step}`;
  const { status, text } = await browser.postEvent('message', { text: said });
  assert.equal(status, 202, text);
  const records = (await kafka.read('chat.inbound')).filter(({ value }) => JSON.parse(value).text === said);
  assert.deepEqual(
    records.map(({ key }) => key),
    [user],
  );

  const stream = await Stream.open(browser, cursor);
  await hears(stream, `live in step ${step}`);
  stream.cut();
  await write(`after the cut in step ${step}`);
  const resumed = await Stream.open(browser, stream.lastId);
  await hears(resumed, `after the resume in step ${step}`);
  resumed.cut();
  cursor = resumed.lastId;
}

/**
 * The stream carries what was waiting, and then another text: all of it, once and in order.
 * @param {Stream} stream @param {string} text
 */
async function hears(stream, text) {
  await write(text);
  await stream.receives(text);
  const written = new Set(waiting);
  const heard = stream.texts.filter((each) => written.has(each));
  // The first stream has no position, and begins with whatever the buffer has. So does one whose position is lost.
  assert.deepEqual(mayForget ? [...new Set(heard)] : heard, waiting);
  waiting = [];
}

/**
 * What the user says is refused, and what a backend writes waits.
 * @param {Record<'edge' | 'bridge', 'release' | 'tree'>} from @param {number} step
 */
async function refuse(from, step) {
  const { status } = await browser.postEvent('message', { text: `refused in step ${step}` });
  assert.equal(status, 503);
  await write(`written in step ${step}`);
  const ours = versions[from.bridge].contract;
  const both = `the edge speaks version ${versions[from.edge].contract} of the contract, this bridge ${ours}`;
  assert.ok(logOf(from).includes(both), `the log does not say that ${both}`);
}

/** A backend writes to the user. @param {string} text */
async function write(text) {
  await kafka.write({ key: user, value: { text } });
  waiting.push(text);
}

/** Within which stored formats do not change: docs/versioning.md. @param {string} version */
function lineOf(version) {
  const [major = '', minor = ''] = version.split('.');
  return major === '0' ? `0.${minor}` : major;
}
