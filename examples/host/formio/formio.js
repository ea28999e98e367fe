// A page that renders the chat's forms with the full Form.io library. The library runs code that a definition has. This
// page's policy has no `unsafe-eval`, so the browser refuses to.

/** @typedef {{ form: string, submission: { data: Record<string, unknown> } }} Answers */
/**
 * @typedef {object} Options
 * @property {(event: { type: 'form', data: Answers }) => unknown} onSubmit
 * @property {{ data?: object, state?: string }} [submission]
 * @property {Promise<unknown>} [sending]
 * @property {string} [locale]
 * @property {string} [id]
 */

const chat = document.querySelector('#chat');
const { Formio } = /** @type {any} */ (globalThis);
// Without it the library compiles templates such as `{{ item.label }}`, which the policy forbids, too. It is no option
// of `createForm`, and does not reach the evaluator that checks answers.
Formio.Utils.Evaluator.noeval = true;

/**
 * @param {any} definition
 * @param {Options} options
 */
function renderForm(definition, { onSubmit, submission, sending, id = '' }) {
  const wasSent = sending?.then(
    () => true,
    () => false,
  );
  const element = document.createElement('div');
  // The library's styles are for a whole page. In a shadow root they stay with the form.
  const root = element.attachShadow({ mode: 'open' });
  const place = document.createElement('div');
  for (const name of ['bootstrap.min.css', 'formio.full.min.css']) {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = new URL(`/formio/${name}`, location.href).href;
    root.append(link);
  }
  root.append(place);
  const rendered = Formio.createForm(place, definition, {
    readOnly: submission?.state === 'submitted',
    hooks: {
      /**
       * Takes the place of the request to Form.io's server.
       * @param {{ data: Record<string, unknown> }} answers
       * @param {(error?: Error) => void} done
       */
      async beforeSubmit({ data }, done) {
        try {
          if (!(await wasSent)) await onSubmit({ type: 'form', data: { form: id, submission: { data } } });
          done();
        } catch {
          done(new Error('Your answers were not sent. Please try again.'));
        }
      },
    },
  });
  void rendered.then((/** @type {any} */ form) => submission && form.setSubmission({ data: submission.data ?? {} }));
  return {
    element,
    destroy() {
      void rendered.then((/** @type {any} */ form) => form.destroy(true));
      element.remove();
    },
  };
}

if (chat instanceof HTMLElement) {
  const { registerFormRenderer } = await import(`${chat.dataset.edge}/assets/form.js`);
  registerFormRenderer(renderForm);
  const { mount } = await import(`${chat.dataset.edge}/assets/chat-widget.js`);
  mount(chat, { heading: 'Operations desk' });
}
