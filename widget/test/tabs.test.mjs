import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { World, seeded } from './tab-world.mjs';

const HAND_OVER_MS = 1_000;

/**
 * @param {number} count
 * @param {World} [world]
 */
async function tabsOf(count, world = new World()) {
  const tabs = [];
  for (let i = 0; i < count; i += 1) {
    tabs.push(world.open());
    await world.run(50);
  }
  return { world, tabs };
}

/** Publishes events for some time, one every 10 ms. @param {World} world @param {number} ms */
async function talk(world, ms) {
  for (let i = 0; i < ms / 10; i += 1) {
    world.publish();
    await world.run(10);
  }
}

/** @param {World} world */
const leaderOf = (world) => {
  assert.ok(world.leader);
  return world.leader;
};

describe('the tabs of a user', () => {
  test('have one stream, and all hear each event once', async () => {
    const { world, tabs } = await tabsOf(5);
    await talk(world, 1_000);
    assert.equal(world.streams.size, 1);
    assert.equal(world.snapshots, 5, 'each tab needed one');
    for (const { heard, log } of tabs) {
      assert.deepEqual(heard, world.all());
      assert.deepEqual(
        log.filter((line) => line !== 'online'),
        [],
      );
    }
  });

  test('a tab that is opened hears what was before', async () => {
    const { world } = await tabsOf(2, new World(seeded(1)));
    await talk(world, 100);
    for (let i = 1; i <= 10; i += 1) {
      const late = world.open();
      for (let j = 0; j < 50; j += 1) {
        world.publish();
        await world.run(1);
      }
      await world.run(100);
      assert.deepEqual(late.heard, world.all());
      assert.equal(world.opened, 2 + i, 'it costs one stream');
    }
  });

  for (const [what, act] of /** @type {[string, (tab: import('./tab-world.mjs').Tab) => void][]} */ ([
    ['is closed', (tab) => tab.close()],
    ['crashes', (tab) => tab.crash()],
    ['is frozen', (tab) => tab.freeze()],
    ['hangs', (tab) => tab.hang()],
  ]))
    test(`another one takes over within a second if the leader ${what}`, async () => {
      const { world, tabs } = await tabsOf(3);
      await talk(world, 300);
      const leader = leaderOf(world);
      act(leader);
      await talk(world, 2_000);
      leader.thaw();
      await talk(world, 500);
      await world.run(100);
      assert.notEqual(leaderOf(world), leader);
      assert.equal(world.streams.size, 1);
      assert.equal(world.snapshots, 3, 'the new stream goes on after what was heard');
      for (const tab of tabs.filter(({ isGone }) => !isGone)) {
        assert.deepEqual(tab.heard, world.all());
        if (tab !== leader) assert.ok(Math.max(...tab.delays) <= HAND_OVER_MS, `${Math.max(...tab.delays)} ms`);
        assert.deepEqual(
          tab.log.filter((line) => line !== 'online'),
          [],
        );
      }
    });

  test('a tab for which the browser dropped messages hears them nevertheless', async () => {
    const { world, tabs } = await tabsOf(3);
    await talk(world, 100);
    const [first] = tabs;
    first?.hang();
    await talk(world, 100);
    first?.thaw(true);
    await talk(world, 100);
    await world.run(100);
    for (const { heard } of tabs) assert.deepEqual(heard, world.all());
    assert.equal(world.streams.size, 1);
  });

  test('a tab in the background leaves the leader alone, until the user sees it', async () => {
    const { world, tabs } = await tabsOf(2);
    const [first] = tabs;
    first?.hide(true);
    leaderOf(world).hang();
    await world.run(5_000);
    assert.notEqual(leaderOf(world), first);
    first?.hide(false);
    await world.run(HAND_OVER_MS);
    assert.equal(leaderOf(world), first);
  });

  test('a leader that is busy again and again is given more time', async () => {
    const { world } = await tabsOf(2);
    const { opened } = world;
    for (let i = 0; i < 60; i += 1) {
      const leader = leaderOf(world);
      leader.hang();
      await world.run(700);
      leader.thaw();
      await world.run(300);
    }
    assert.ok(world.opened - opened <= 8, `${world.opened - opened} streams in a minute`);
  });

  test('hear the same state and the same gaps', async () => {
    const { world, tabs } = await tabsOf(3);
    await world.run(100);
    const { hear } = leaderOf(world);
    for (const tab of tabs) tab.log.length = 0;
    hear?.onState('reconnecting');
    hear?.onReset('retention', '');
    hear?.onState('online');
    await world.run(100);
    for (const { log } of tabs) assert.deepEqual(log, ['reconnecting', 'gap: retention', 'online']);
  });

  test('know of no gap if a stream hangs before its snapshot', async () => {
    const { world, tabs } = await tabsOf(3);
    await talk(world, 100);
    const leader = leaderOf(world);
    leader.isDeaf = true;
    leader.reopen(false);
    await world.run(50);
    leader.isDeaf = false;
    leader.reopen(true);
    await talk(world, 100);
    await world.run(100);
    for (const { heard, log } of tabs) {
      assert.deepEqual(heard, world.all());
      assert.ok(!log.some((line) => line.startsWith('gap')), log.join());
    }
  });

  test('all know at once that one has signed out, and none opens a stream', async () => {
    const { world, tabs } = await tabsOf(3);
    await world.run(100);
    const { opened } = world;
    world.user = null;
    const [first, ...others] = tabs;
    first?.ending.abort('signed-out');
    await world.run(100);
    for (const { log, checks } of others) {
      assert.equal(log.at(-1), 'end: signed_out');
      assert.equal(checks, 0);
    }
    await world.run(5_000);
    assert.equal(world.streams.size, 0);
    assert.equal(world.opened, opened);
  });

  test('all ask who is signed in once the edge has ended the session', async () => {
    const { world, tabs } = await tabsOf(3);
    await world.run(100);
    world.user = null;
    const { hear } = leaderOf(world);
    hear?.onEnd('expired');
    await world.run(100);
    for (const { log } of tabs.filter((tab) => tab.hear !== hear)) assert.equal(log.at(-1), 'is null');
  });

  test('a sign-out that is told late is not believed', async () => {
    const { world, tabs } = await tabsOf(2);
    const [first, second] = tabs;
    await world.run(100);
    first?.hang();
    second?.ending.abort('signed-out');
    await world.run(10_000);
    first?.thaw();
    await world.run(100);
    assert.equal(first?.checks, 1);
    assert.ok(!first?.log.includes('end: signed_out'));
    assert.equal(world.leader, first, 'the same user has signed in again');
  });

  test("never get another user's events", async () => {
    const { world, tabs } = await tabsOf(2);
    await talk(world, 100);
    world.user = 'grace';
    world.records = [];
    const grace = world.open('grace');
    await talk(world, 100);
    assert.equal(grace.heard.length, 10);
    assert.equal(world.streams.size, 2);
    for (const tab of tabs) tab.heard.length = 0;
    const [first] = tabs;
    void first?.check();
    await world.run(100);
    for (const { log } of tabs) assert.equal(log.at(-1), 'is grace');
    await talk(world, 100);
    assert.equal(world.streams.size, 1);
    for (const { heard } of tabs) assert.deepEqual(heard, []);
  });

  test('a tab that comes back by the back button hears what it missed', async () => {
    const { world, tabs } = await tabsOf(2);
    await talk(world, 100);
    const [first] = tabs;
    first?.page.dispatchEvent(new Event('pagehide'));
    await talk(world, 100);
    assert.equal(first?.heard.length, 10);
    first?.page.dispatchEvent(new Event('pageshow'));
    await talk(world, 100);
    assert.deepEqual(first?.heard, world.all());
    assert.equal(world.streams.size, 1);
  });

  test('hear each event once and in order, whatever happens to them', async () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const random = seeded(seed);
      const world = new World(random);
      const pick = () => [...world.tabs][Math.floor(random() * world.tabs.size)];
      for (let i = 0; i < 3; i += 1) world.open();
      for (let step = 0; step < 120; step += 1) {
        const dice = random();
        if (dice < 0.6) world.publish();
        else if (dice < 0.66 && world.tabs.size < 6) world.open();
        else if (dice < 0.69 && world.tabs.size > 1) pick()?.close();
        else if (dice < 0.72 && world.tabs.size > 1) pick()?.crash();
        else if (dice < 0.78) pick()?.hang();
        else if (dice < 0.82) pick()?.freeze();
        else if (dice < 0.93) pick()?.thaw(random() < 0.3);
        else pick()?.hide(random() < 0.5);
        await world.run(random() < 0.1 ? random() * 1_000 : random() * 30);
      }
      for (const tab of world.tabs) {
        tab.thaw();
        tab.hide(false);
      }
      await world.run(10_000);
      world.publish();
      await world.run(100);
      assert.equal(world.streams.size, 1, `seed ${seed}`);
      for (const { heard, log } of world.tabs) {
        assert.deepEqual(heard, world.all(), `seed ${seed}`);
        assert.deepEqual(
          log.filter((line) => line !== 'online'),
          [],
          `seed ${seed}`,
        );
      }
    }
  });
});
