// Loads the widget when it is wanted, and removes it again.
const chat = document.querySelector('#chat');
const toggle = document.querySelector('#toggle');
/** @type {(() => void) | undefined} */
let unmount;

toggle?.addEventListener('click', async () => {
  if (unmount) {
    unmount();
    unmount = undefined;
  } else if (chat) {
    const { mount } = await import('{{edge}}/assets/chat-widget.js');
    // A double click wants one chat.
    unmount ??= mount(chat, { heading: 'Operations desk' });
  }
  toggle.setAttribute('aria-expanded', String(unmount !== undefined));
});
