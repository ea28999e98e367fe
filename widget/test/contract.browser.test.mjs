// The widget on a page with the exact policy of docs/widget.md, and nothing else. `closePage` fails on any violation.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { pagePolicy } from '../../examples/frameworks/server.mjs';
import { useWidgetPage } from './widget-page.mjs';

const FORM = {
  title: 'Arrange a pickup',
  components: [
    { type: 'textfield', key: 'name', label: 'Contact', validate: { required: true } },
    { type: 'button', key: 'submit', label: 'Request pickup', action: 'submit' },
  ],
};

describe('the documented policy', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const server = createServer((_, response) => {
    response.writeHead(200, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': pagePolicy(widget.edgeOrigin),
    });
    response.end(`<!doctype html>
<title>Only the widget</title>
<script type="module" src="${widget.edgeOrigin}/assets/chat-widget.js"></script>
<chat-widget popup></chat-widget>`);
  });
  let origin = '';

  before(async () => {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
    origin = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  test('allows all that the widget does', async () => {
    const { page } = widget;
    await widget.open(origin);
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForUser('Ada Lovelace');
    await widget.waitForStatus('Online');
    await widget.send('hello');
    await widget.waitForMessage({ role: 'user', text: 'hello', state: 'done' });
    edge.publish('delta', { id: 'a', seq: 0, text: 'Three ' });
    edge.publish('message', { id: 'a', text: 'Three hours.' });
    await widget.waitForMessage({ role: 'assistant', text: 'Three hours.' });
    edge.publish('form', { id: 'f', text: 'When?', form: FORM });
    await page.getByRole('button', { name: 'Request pickup' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('Sign in to start chatting').waitFor();
    assert.equal(page.url(), `${origin}/`);
  });
});
