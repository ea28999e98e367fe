// Entry of the classic script: `<script src="…/chat-widget.iife.js">`, then `window.ChatWidget.mount(…)`.

import { define, mount } from './element.js';

const { currentScript } = document;
define(currentScript instanceof HTMLScriptElement ? currentScript.src : undefined);

Object.assign(globalThis, { ChatWidget: { mount } });
