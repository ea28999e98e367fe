// All that a page needs to embed the widget: load the module from the edge and mount it into a div.
const chat = document.querySelector('#chat');

if (chat instanceof HTMLElement) {
  try {
    const { mount } = await import(`${chat.dataset.edge}/assets/chat-widget.js`);
    mount(chat, {
      heading: 'Operations desk',
      strings: { assistant: 'Desk', emptyText: 'Ask the desk about a shipment.' },
    });
  } catch (error) {
    console.error(error);
    chat.textContent = 'The operations desk cannot be reached right now.';
  }
}
