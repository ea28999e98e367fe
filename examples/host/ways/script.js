// `ChatWidget` is there at once. The chat appears as soon as the module behind it is loaded.
/** @type {{ ChatWidget: Pick<typeof import('../../../widget/src/module.js'), 'mount'> }} */
const { ChatWidget } = /** @type {any} */ (globalThis);

const chat = document.querySelector('#chat');
if (chat) ChatWidget.mount(chat, { heading: 'Operations desk' });
