// The name leads to the remote of vite.config.mjs.
const { mount } = await import('causeway/chat-widget');

const chat = document.querySelector('#chat');
if (chat) mount(chat, { heading: 'Operations desk' });
