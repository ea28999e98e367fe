// Attributes are in the page. This sets properties, and listens to the events.
/** @typedef {import('../../../widget/src/element.js').ChatWidget} ChatWidget */

const widget = /** @type {ChatWidget} */ (document.querySelector('chat-widget'));
const heading = /** @type {HTMLInputElement} */ (document.querySelector('#heading'));
const status = /** @type {HTMLOutputElement} */ (document.querySelector('#status'));
const messages = /** @type {HTMLOListElement} */ (document.querySelector('#messages'));

// Whether or not the module is loaded by now.
widget.strings = { assistant: 'Desk', emptyText: 'Ask the desk about a shipment.' };
heading.addEventListener('input', () => widget.setAttribute('heading', heading.value));

widget.addEventListener('chat-status', (event) => {
  status.value = /** @type {CustomEvent<{ status: string }>} */ (event).detail.status;
});
widget.addEventListener('chat-message', (event) => {
  const { role, text } = /** @type {CustomEvent<{ role: string, text: string }>} */ (event).detail;
  const item = document.createElement('li');
  item.textContent = `${role}: ${text}`;
  messages.append(item);
});
