// The classic script: `<script src="…/chat-widget.iife.js">`, then `window.ChatWidget.mount(…)`. It loads the module,
// which also takes over the elements that are there by then.

const loaded = import('./module.js');

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
