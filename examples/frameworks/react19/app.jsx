// React 19 sets the properties of custom elements and hears their events, once they are defined.

import { lazy, Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';

const target = document.querySelector('#app');
const strings = { placeholder: 'Ask about your order' };

// Of an element that is not defined yet, React sets attributes only, and `strings` is none. So the module comes first.
const Chat = lazy(async () => {
  await import(`${target.dataset.edge}/assets/chat-widget.js`);
  return { default: (props) => <chat-widget {...props} /> };
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
            onchat-status={({ detail }) => setHeard(detail.status)}
            onchat-message={({ detail }) => setHeard(detail.text)}
          />
        )}
      </Suspense>
    </>
  );
}

createRoot(target).render(<App />);
