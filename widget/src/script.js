// The classic script: `<script src="…/chat-widget.iife.js">`, then `window.ChatWidget.mount(…)`. It loads the module,
// which takes over the elements that are there by then.

import { mount } from './mount.js';

Object.assign(globalThis, { ChatWidget: { mount } });
void import('./module.js');
