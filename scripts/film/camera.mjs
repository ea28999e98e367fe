// Films a page: each picture that differs from the one before, with the time for which it was seen.

import { stat } from 'node:fs/promises';

import sharp from 'sharp';

/** Pictures that follow each other faster become one. */
const LEAST_MS = 80;
/** Nothing happens for longer only where the machine is slow. */
const MOST_MS = 2_500;
const LAST_MS = 4_000;

/** @typedef {{ picture: Buffer, at: number }} Frame */

/** @param {import('playwright-core').Page} page whose size is that of the film */
export async function startCamera(page) {
  /** @type {Frame[]} */
  const frames = [];
  const session = await page.context().newCDPSession(page);
  session.on('Page.screencastFrame', ({ data, metadata: { timestamp = Date.now() / 1000 }, sessionId }) => {
    add(frames, { picture: Buffer.from(data, 'base64'), at: timestamp * 1000 });
    session.send('Page.screencastFrameAck', { sessionId }).catch(() => {});
  });
  await session.send('Page.startScreencast', { format: 'png' });

  return {
    /**
     * Ends the film.
     * @param {string} file an animated WebP
     * @returns {Promise<{ seconds: number, bytes: number, pictures: number }>}
     */
    async finish(file) {
      await session.send('Page.stopScreencast');
      const delay = frames.map(({ at }, i) => {
        const next = frames[i + 1]?.at ?? at + LAST_MS;
        return Math.round(Math.min(next - at, i === frames.length - 1 ? LAST_MS : MOST_MS));
      });
      const pictures = frames.map(({ picture }) => picture);
      // An animation is one picture to the library, as high as all of them.
      await sharp(pictures, { join: { animated: true }, limitInputPixels: false })
        .webp({ delay, loop: 0, quality: 80, effort: 4, minSize: true })
        .toFile(file);
      const seconds = delay.reduce((sum, one) => sum + one, 0) / 1000;
      return { seconds, bytes: (await stat(file)).size, pictures: frames.length };
    },
  };
}

/** @param {Frame[]} frames @param {Frame} frame */
function add(frames, frame) {
  const last = frames.at(-1);
  if (!last) frames.push(frame);
  else if (last.picture.equals(frame.picture)) return;
  else if (frame.at - last.at < LEAST_MS) last.picture = frame.picture;
  else frames.push(frame);
}
