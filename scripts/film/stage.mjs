// What a film shows over the page: captions, and where the user clicks.

/**
 * A pause, so that the viewer can read. Nothing is waited for.
 * @param {import('playwright-core').Page} page @param {number} ms
 */
export const pause = (page, ms) => page.waitForTimeout(ms);

/** @param {import('playwright-core').Page} page @param {string} text */
export async function caption(page, text) {
  await page.evaluate((shown) => {
    const id = 'film-caption';
    const node = document.getElementById(id) ?? document.body.appendChild(document.createElement('p'));
    node.id = id;
    node.textContent = shown;
    Object.assign(node.style, {
      position: 'fixed',
      inset: 'auto auto 24px 24px',
      zIndex: '9',
      maxWidth: '620px',
      margin: '0',
      padding: '12px 20px',
      borderRadius: '12px',
      font: '600 21px/1.35 system-ui, sans-serif',
      color: '#fff',
      background: '#10201b',
    });
  }, text);
}

/**
 * Points at something, and clicks it.
 * @param {import('playwright-core').Page} page @param {import('playwright-core').Locator} target
 */
export async function click(page, target) {
  await target.scrollIntoViewIfNeeded();
  const box = await target.boundingBox();
  if (!box) throw new Error('what should be clicked is not shown');
  await page.evaluate(
    ({ x, y }) => {
      const node = document.body.appendChild(document.createElement('div'));
      node.id = 'film-pointer';
      Object.assign(node.style, {
        position: 'fixed',
        left: `${x - 16}px`,
        top: `${y - 16}px`,
        zIndex: '9',
        width: '32px',
        height: '32px',
        borderRadius: '50%',
        border: '3px solid #d9822b',
        background: '#d9822b55',
        pointerEvents: 'none',
      });
    },
    { x: box.x + box.width / 2, y: box.y + box.height / 2 },
  );
  await pause(page, 700);
  await target.click();
}

/**
 * Types as a person does.
 * @param {import('playwright-core').Page} page @param {string} text
 */
export async function say(page, text) {
  await page.getByPlaceholder('Write a message').focus();
  await page.keyboard.type(text, { delay: 45 });
  await pause(page, 300);
  await page.keyboard.press('Enter');
}
