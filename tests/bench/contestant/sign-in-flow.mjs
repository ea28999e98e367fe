// A whole sign-in at the edge, by the authorization code flow at the stub provider.

import { Browser } from '../../support/browser.mjs';
import { authorizeFrom } from '../../support/sign-in.mjs';

/** @param {string} name of the edge @param {import('../../../scripts/stack/stack.mjs').Stack} stack */
export const signInFlow = (name, stack) => async (/** @type {string} */ login) => {
  const browser = new Browser({ origin: stack.edgeOrigin });
  const { callback } = await authorizeFrom(browser, '/auth/entra/login?return_to=%2F', login);
  const { status, text } = await browser.visit(callback);
  if (status !== 303) throw new Error(`${name} answers ${status} to the callback: ${text.slice(0, 300)}`);
};
