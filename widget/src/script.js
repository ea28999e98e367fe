// The classic script: `<script src="…/chat-widget.iife.js">`, then `window.ChatWidget.mount(…)`. It loads the module,
// which also takes over the elements that are there by then.

const { currentScript } = globalThis.document ?? {};
/**
 * Browsers do not tell a script of another origin its own address, so a relative path would lead nowhere.
 * @type {Promise<typeof import('./module.js')>}
 */
const loaded =
  // Who can put an image of that name into the page must not choose what is loaded.
  currentScript && currentScript instanceof HTMLScriptElement
    ? import(new URL('chat-widget.js', currentScript.src).href)
    : import('./module.js');

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
