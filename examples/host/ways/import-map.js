// The import map in the page says where this name leads. Its policy allows the map by its hash.
import { mount } from 'chat-widget';

const chat = document.querySelector('#chat');
if (chat) mount(chat, { heading: 'Operations desk' });
