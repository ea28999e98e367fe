// React 18 knows only attributes of custom elements. A wrapper made by @lit/react sets properties and hears events.

import { createComponent } from '@lit/react';
import React, { lazy, Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';

const target = document.querySelector('#app');
const strings = { placeholder: 'Ask about your order' };

const Chat = lazy(async () => {
  const { ChatWidget } = await import(`${target.dataset.edge}/assets/chat-widget.js`);
  const events = { onStatus: 'chat-status', onMessage: 'chat-message' };
  return { default: createComponent({ react: React, tagName: 'chat-widget', elementClass: ChatWidget, events }) };
});

function App() {
  const [isOpen, setOpen] = useState(true);
  const [heading, setHeading] = useState('Support');
  const [heard, setHeard] = useState('nothing');
  return (
    <>
      <button onClick={() => setOpen(!isOpen)}>{isOpen ? 'Close' : 'Open'}</button>
      <button onClick={() => setHeading('Orders')}>Rename</button>
      <output>{heard}</output>
      <Suspense>
        {isOpen && (
          <Chat
            heading={heading}
            strings={strings}
            onStatus={({ detail }) => setHeard(detail.status)}
            onMessage={({ detail }) => setHeard(detail.text)}
          />
        )}
      </Suspense>
    </>
  );
}

createRoot(target).render(<App />);
