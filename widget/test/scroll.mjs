// Measures how a long conversation scrolls, and prints the rows of docs/performance.md. Not a test.
//
// The widget is the built one in Chromium, the edge a stub, so that nothing but the page works.

import { parseArgs } from 'node:util';

import { publish, ride } from './long-conversation.mjs';
import { WidgetPage } from './widget-page.mjs';

const USAGE = `usage: scroll.mjs [--messages 9990] [--slowdown 1]

Nothing else should be busy.

--messages  at most 9990: the oldest of more than 10 000 go, and answers are streamed, too
--slowdown  how many times slower the processor is to be; 4 is what Lighthouse takes for a phone`;

/** Pixels in each frame: a wheel that turns fast, and the scroll bar. */
const READING_PX = 120;
const RACE_PX = 2_000;
const READING_FRAMES = 600;
const MOST_FRAMES = 5_000;
const DELTAS = 300;

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '9990' },
    slowdown: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const count = Number(values.messages);
const widget = new WidgetPage();
await widget.start();
await widget.newPage();
try {
  publish(widget.edge, 0, count);
  const session = await widget.context.newCDPSession(widget.page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: Number(values.slowdown) });
  await session.send('Performance.enable');
  await widget.openSignedIn();
  const newest = widget.page.locator('chat-widget .message').last();
  await newest.getByText(`No. ${count - 1},`).waitFor({ timeout: 120_000 });
  await newest.locator('.actions').waitFor({ state: 'attached', timeout: 120_000 });
  widget.page.setDefaultTimeout(600_000);

  /** @param {string} name @param {number} step @param {number} target @param {number} maxFrames */
  const measure = async (name, step, target, maxFrames) => {
    const seen = await widget.page.evaluate(ride, { step, target, maxFrames });
    await print(name, seen);
  };

  /** @param {string} name @param {import('./long-conversation.mjs').Ride} seen */
  const print = async (name, { frames, frameMs, longestTaskMs, mostRows, mostNodes, jumps, holes }) => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const heap = metrics.find((metric) => metric.name === 'JSHeapUsedSize')?.value ?? NaN;
    const sorted = frameMs.toSorted((a, b) => a - b);
    const total = frameMs.reduce((sum, ms) => sum + ms, 0);
    const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? NaN;
    const cells = [
      `${Math.round((frameMs.length * 1_000) / total)}`,
      `${Math.round(p99)} ms`,
      longestTaskMs ? `${Math.round(longestTaskMs)} ms` : 'under 50 ms',
      String(mostRows),
      String(mostNodes),
      `${(heap / 1e6).toFixed(1)} MB`,
      String(jumps.length),
    ];
    console.log(`| ${name} | ${cells.join(' | ')} |`);
    if (frames < 2 || holes[0]) console.error(`${name}: ${frames} frames, ${holes[0]}`);
  };

  console.log('| | frames a second | 99 % of frames within | longest task | rows | elements | heap | jumps |');
  console.log('|---|---:|---:|---:|---:|---:|---:|---:|');
  await stream('an answer streams in at the end');
  await measure('reading, upwards', -READING_PX, 0, READING_FRAMES);
  await measure('racing to the beginning', -RACE_PX, 0, MOST_FRAMES);
  await measure('reading, downwards', READING_PX, count, READING_FRAMES);
  await stream('an answer streams in, at the beginning');
  await measure('racing to the end', RACE_PX, count - 1, MOST_FRAMES);

  /** @param {string} name */
  async function stream(name) {
    const seen = widget.page.evaluate(ride, { step: 0, target: -1, maxFrames: DELTAS });
    const id = `streamed-${name}`;
    for (let seq = 0; seq < DELTAS; seq += 1) {
      widget.edge.publish('delta', { id, seq, text: `**Word** ${seq} of the answer. ` }, `${id}-${seq}`);
      await new Promise((resolve) => setTimeout(resolve, 1000 / 60));
    }
    await print(name, await seen);
    widget.edge.publish('delete', { id });
  }
} finally {
  await widget.closePage();
  await widget.stop();
}
