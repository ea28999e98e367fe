// The classic script: `<script src="…/chat-widget.iife.js">`, then `window.ChatWidget.mount(…)`. It loads the module,
// which also takes over the elements that are there by then.

import { insist } from './client/bundle.js';

const { currentScript } = globalThis.document ?? {};
let attempts = 0;
const loaded = /** @type {Promise<typeof import('./module.js')>} */ (
  insist(
    () => {
      // Who can put an image of that name into the page must not choose what is loaded.
      if (!(currentScript && currentScript instanceof HTMLScriptElement)) return import('./module.js');
      // Browsers do not tell a script of another origin its own address, so a relative path would lead nowhere. They
      // also remember that a module failed, under its address.
      const { href } = new URL('chat-widget.js', currentScript.src);
      return import(href + (attempts++ ? `?${attempts}` : ''));
    },
    new AbortController().signal,
    () => {},
  )
);

/**
 * As in the module. The widget appears once the module is loaded: only then it is known whose element it is.
 * @type {typeof import('./module.js').mount}
 */
function mount(parent, options) {
  let isRemoved = false;
  let unmount = () => {};
  void loaded.then((module) => {
    if (!isRemoved) unmount = module.mount(parent, options);
  });
  return () => {
    isRemoved = true;
    unmount();
  };
}

Object.assign(globalThis, { ChatWidget: { mount } });
