// Entry of the ES module: `import { mount } from 'https://edge.example/assets/chat-widget.js'`.

import { ChatWidget, define, mount } from './element.js';

define(import.meta.url);

export { ChatWidget, mount };
