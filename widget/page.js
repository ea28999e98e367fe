// The edge's own page: the widget, as a page of any other origin would mount it.
import { mount } from '/assets/chat-widget.js';

const main = document.querySelector('#chat');
if (main) mount(main);
