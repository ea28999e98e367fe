// The shortest way for a page with a script of its own: a static import from the edge.
import { mount } from '{{edge}}/assets/chat-widget.js';

const chat = document.querySelector('#chat');
if (chat) mount(chat, { heading: 'Operations desk' });
