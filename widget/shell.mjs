// The widget's first state as HTML, with placeholders that the edge fills in (`GET /shell/chat-widget`). It is what
// view.js, sign-in.js and the launcher build, in two layouts: a chat that still connects, and the sign-in panel. A
// browser test compares them, since any difference would be a flash when the script takes over.

import { readdir } from 'node:fs/promises';

import { LAUNCHER_STRINGS } from './src/launcher/strings.js';
import { SIGN_IN_STRINGS } from './src/sign-in-strings.js';
import { STRINGS } from './src/strings.js';

const ENGLISH = { ...STRINGS, ...SIGN_IN_STRINGS, ...LAUNCHER_STRINGS };
const FOLDER = new URL('src/language/', import.meta.url);
const FILES = (await readdir(FOLDER)).filter((name) => /^[a-z-]+\.js$/.test(name)).sort();
/**
 * Texts by language. Without the user's own, the first is used.
 * @type {[string, Record<string, string>][]}
 */
const LANGUAGES = [['en', ENGLISH]];
for (const file of FILES) {
  const { default: texts } = await import(new URL(file, FOLDER).href);
  LANGUAGES.push([file.slice(0, -'.js'.length), { ...ENGLISH, ...texts }]);
}

// The edge escapes `{heading}` and all texts. `hidden…` are an attribute or nothing; `panel`,
// `links`, `launcher` and `closeButton` are HTML, the last two of a compact widget only.
const ROOT = `
  <template shadowrootmode="open">
    <link rel="stylesheet" href="{stylesheet}">
    <section part="shell" class="shell" aria-label="{heading}" dir="{direction}" hidden>
      <header part="header" class="header">
        <span part="mark" class="mark"></span>
        <div>
          <h2 part="heading" class="heading">{heading}</h2>
          <p>
            <span part="status" class="status {state}">{status}</span>
            <button type="button" part="name" class="name" dir="auto"{hiddenChat} disabled></button>
          </p>
        </div>
        <button type="button" part="sign-out" class="sign-out"{hiddenChat} disabled>{signOut}</button>
        {closeButton}
      </header>
      <div class="body"{hiddenChat}>
        <div part="log" class="log" role="group" tabindex="0" aria-label="{heading}">
          <div class="empty">
            <strong>{emptyTitle}</strong>
            <span>{emptyText}</span>
          </div>
          <ol part="messages" class="messages"></ol>
        </div>
      </div>
      <p part="note" class="note" role="status"></p>
      <div part="composer" class="composer"{hiddenChat}>
        <textarea part="input" class="input" rows="1" dir="auto" placeholder="{placeholder}" aria-label="{placeholder}"
          readonly></textarea>
        <button type="button" part="send" class="send idle" aria-label="{send}" disabled></button>
      </div>
      <div part="sign-in" class="sign-in" tabindex="-1"{hiddenPanel}>{panel}</div>
      <div class="sr-only" role="status"></div>
    </section>
    {launcher}
  </template>`;

const PANEL = `
  <span part="mark" class="mark"></span>
  <h3>{signInTitle}</h3>
  <p role="status">{signInText}</p>
  {links}`;

const LINK = `
  <a{href} part="sign-in-link" class="sign-in-link">{signIn}</a>
  <a{hrefOther} part="other-account" class="other-account" title="{provider}">{otherAccount}</a>`;

const LAUNCHER = `
  <button type="button" part="launcher" class="launcher" aria-expanded="false" aria-label="{open}" hidden disabled>
    <span part="badge" class="badge" aria-hidden="true" hidden></span>
  </button>`;

const CLOSE = `
  <button type="button" part="close" class="close" aria-label="{close}" disabled></button>`;

/** What the edge fills in that is no text of the widget's. */
const GIVEN = [
  'stylesheet',
  'state',
  'hiddenChat',
  'hiddenPanel',
  'panel',
  'links',
  'href',
  'hrefOther',
  'provider',
  'launcher',
  'closeButton',
];
/** Texts that the edge chooses from: `status`, and `signInText` where nobody can sign in. */
const CHOSEN = ['connecting', 'signedOut', 'noProviders'];

/**
 * What the edge's build script reads.
 * @param {string} stylesheet its name below `/assets/`
 */
export function shell(stylesheet) {
  const root = withoutIndentation(ROOT);
  const panel = withoutIndentation(PANEL);
  const link = withoutIndentation(LINK);
  const launcher = withoutIndentation(LAUNCHER);
  const close = withoutIndentation(CLOSE);
  const named = [root, panel, link, launcher, close].join('').matchAll(/\{(\w+)\}/g);
  const names = new Set([...CHOSEN, ...[...named].map(([, name = '']) => name)]);
  for (const name of [...GIVEN, 'status']) names.delete(name);
  const texts = LANGUAGES.map(
    ([language, all]) => /** @type {const} */ ([language, [...names].map((name) => [name, text(all, name)])]),
  );
  return { stylesheet, root, panel, link, launcher, close, texts };
}

/** @param {Record<string, string>} texts @param {string} name */
function text(texts, name) {
  const found = texts[name];
  if (found === undefined) throw new Error(`the widget has no text ${name}`);
  return found;
}

/** Only elements are between elements, as in the script's DOM. @param {string} html */
function withoutIndentation(html) {
  return html.replaceAll(/\n\s+(?=[<{])/g, '').replaceAll(/\n\s+/g, ' ');
}
