// The texts of the widget in English, besides those of what is loaded on demand. A page replaces any of them through
// `strings`. `{…}` are placeholders. The folder language has them in other languages.

export const STRINGS = {
  // Of the text: `ltr`, `rtl`, or empty for the page's.
  direction: '',
  heading: 'Chat',
  connecting: 'Connecting…',
  online: 'Online',
  reconnecting: 'Reconnecting…',
  offline: 'You are offline',
  signedOut: 'Not signed in',
  ended: 'Session ended',
  signOut: 'Sign out',
  emptyTitle: 'No messages yet',
  emptyText: 'Write the first one below.',
  placeholder: 'Write a message',
  send: 'Send',
  full: 'Too many messages are waiting.',
  unkept: 'Keep this page open until it is sent.',
  sending: 'Sending…',
  waiting: 'Waiting to be sent',
  sent: 'Sent',
  failed: 'Not sent',
  retry: 'Try again',
  unloaded: 'This could not be loaded.',
  cancel: 'Cancel',
  stalled: 'The answer was interrupted',
  gap: 'Older messages may be missing',
  you: 'You',
  assistant: 'Assistant',
};

/**
 * @typedef {typeof import('./sign-in-strings.js').SIGN_IN_STRINGS
 *   & typeof import('./message/strings.js').MESSAGE_STRINGS
 *   & typeof import('./account/strings.js').ACCOUNT_STRINGS
 *   & typeof import('./launcher/strings.js').LAUNCHER_STRINGS
 *   & typeof import('./form/strings.js').FORM_STRINGS} OtherStrings texts of what is loaded on demand
 *
 * @typedef {typeof STRINGS & Partial<OtherStrings>} Strings
 */

/**
 * @param {string} template
 * @param {Record<string, string>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
