// The edge's own page. It mounts the widget as any other page would.
import { mount } from '/assets/chat-widget.js';

const main = document.querySelector('#chat');
if (main) mount(main);
