// Entry of the ES module: `import { mount } from 'https://edge.example/assets/chat-widget.js'`.

import { ChatWidget, define } from './element.js';
import { mount } from './mount.js';

define(import.meta.url);

export { ChatWidget, mount };
