// A front end without the widget: the user's GitHub repositories, and every event as it comes.
const edge = document.querySelector('main')?.dataset.edge ?? '';
const { createClient } = await import(`${edge}/assets/client.js`);
/** @type {import('../../widget/src/client/client.js').Client} */
const client = createClient({ edge });

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} tag @param {string} text @param {() => unknown} [onclick] */
const node = (tag, text, onclick) => Object.assign(document.createElement(tag), { textContent: text, onclick });

/** @param {string} id of the user */
async function showRepositories(id) {
  const response = await client.bff('github').fetch('/user/repos?sort=updated&per_page=10');
  /** @type {{ full_name: string }[]} */
  const repositories = response.ok ? await response.json() : [];
  if (id === user) part('repositories').replaceChildren(...repositories.map(({ full_name: name }) => node('li', name)));
}

/** Id of the user whose data are shown; empty: nobody's, null: not known yet. @type {string | null} */
let user = null;
client.subscribe({
  onState: (state) => (part('state').textContent = state),
  onEvent: ({ type, data }) => part('notifications').prepend(node('li', `${type}: ${data?.text ?? ''}`)),
  onGap: () => part('notifications').prepend(node('li', 'Some notifications are missing here.')),
  onSession({ user: now, providers }) {
    // It is called after each check, and a button that is replaced loses the focus.
    if ((now?.id ?? '') === user) return;
    user = now?.id ?? '';
    // What another user saw must go.
    for (const id of ['repositories', 'notifications']) part(id).replaceChildren();
    if (now) {
      part('account').replaceChildren(now.name, ' ', node('button', 'Sign out', client.logout));
      void showRepositories(now.id);
    } else {
      const links = providers.map(({ id, name }) => node('button', `Sign in with ${name}`, () => client.login(id)));
      part('account').replaceChildren(...links);
    }
  },
});
