// A form in a real page: one with a strict policy, without the rest of the widget.

import { useWidgetPage } from './widget-page.mjs';

const POLICY = "default-src 'none'; script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
const HTML = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Form</title></head>
  <body><main><h1>Form</h1><h2>Chat</h2></main></body>
</html>`;

/** Each type, each rule and a condition: what the tests and the pictures show. */
export const PICKUP = {
  _id: 'pickup',
  title: 'Arrange a pickup',
  components: [
    { type: 'content', key: 'intro', html: '<p>We need a few details before a driver can be booked.</p>' },
    {
      type: 'columns',
      key: 'who',
      columns: [
        {
          width: 6,
          components: [
            { type: 'textfield', key: 'name', label: 'Contact', validate: { required: true, minLength: 2 } },
          ],
        },
        { width: 6, components: [{ type: 'email', key: 'email', label: 'Email', validate: { required: true } }] },
      ],
    },
    {
      type: 'textfield',
      key: 'reference',
      label: 'Shipment',
      description: 'You find it on the label, for example LF-20771.',
      placeholder: 'LF-00000',
      validate: { pattern: 'LF-\\d{5}', patternMessage: 'A shipment has the letters LF, a hyphen and five digits.' },
    },
    {
      type: 'radio',
      key: 'how',
      label: 'How does it travel?',
      values: [
        { label: 'By road', value: 'road' },
        { label: 'By sea', value: 'sea' },
      ],
      validate: { required: true },
    },
    {
      type: 'panel',
      key: 'port',
      title: 'At the port',
      conditional: { show: true, when: 'how', eq: 'sea' },
      components: [
        {
          type: 'select',
          key: 'terminal',
          label: 'Terminal',
          data: {
            values: [
              { label: 'Maasvlakte', value: 'mv' },
              { label: 'Waalhaven', value: 'wh' },
            ],
          },
          validate: { required: true },
        },
        {
          type: 'selectboxes',
          key: 'extras',
          label: 'Extras',
          values: [
            { label: 'Customs clearance', value: 'customs' },
            { label: 'Cold storage', value: 'cold' },
          ],
        },
      ],
    },
    {
      type: 'columns',
      key: 'what',
      columns: [
        {
          width: 6,
          components: [
            { type: 'number', key: 'weight', label: 'Weight', suffix: 'kg', validate: { min: 1, max: 24000 } },
          ],
        },
        {
          width: 6,
          components: [
            { type: 'datetime', key: 'date', label: 'Date', enableTime: false, validate: { required: true } },
          ],
        },
      ],
    },
    { type: 'textarea', key: 'note', label: 'Anything else?', rows: 2 },
    { type: 'checkbox', key: 'terms', label: 'The goods are packed and labelled', validate: { required: true } },
    { type: 'button', key: 'submit', label: 'Request pickup', action: 'submit' },
  ],
};

export function useFormPage() {
  const widget = useWidgetPage();
  return {
    widget,

    /**
     * Renders a form. Its events are collected in the page.
     * @param {unknown} definition
     * @param {{ submission?: object, strings?: Record<string, string>, locale?: string, id?: string }} [options]
     */
    async open(definition, options = {}) {
      widget.edge.pages.set('/form', { policy: POLICY, html: HTML });
      await widget.open(`${widget.edgeOrigin}/form`);
      await this.render(definition, options);
    },

    /**
     * @param {unknown} definition
     * @param {object} options
     */
    async render(definition, options) {
      await widget.page.evaluate(
        async ([source, given]) => {
          const { renderForm } = await import(String('/assets/form.js'));
          const page = /** @type {any} */ (globalThis);
          page.events = [];
          page.failures = 0;
          page.form = renderForm(source, {
            .../** @type {object} */ (given),
            onSubmit(/** @type {unknown} */ event) {
              page.events.push(event);
              page.failures -= 1;
              return page.failures >= 0 ? Promise.reject(new Error('offline')) : Promise.resolve();
            },
          });
          document.querySelector('main')?.append(page.form.element);
        },
        [definition, options],
      );
    },

    /** @returns {Promise<any[]>} */
    events() {
      return widget.page.evaluate(() => Reflect.get(globalThis, 'events'));
    },

    /** What has the focus: its accessible name and description. */
    async focused() {
      return widget.page.evaluate(() => {
        const root = document.activeElement?.shadowRoot;
        const node = /** @type {any} */ (root?.activeElement);
        const group = node?.type === 'radio' ? node.closest('fieldset') : node;
        const ids = (group?.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean);
        return {
          name: node?.labels?.[0]?.textContent ?? node?.textContent ?? '',
          description: ids.map((/** @type {string} */ id) => root?.getElementById(id)?.textContent ?? '?').join(' '),
        };
      });
    },
  };
}
