// The texts of the widget, besides those about accounts (sign-in-strings.js). A page replaces any of them through
// `strings`. `{…}` are placeholders.

export const STRINGS = {
  heading: 'Chat',
  connecting: 'Connecting…',
  online: 'Online',
  reconnecting: 'Reconnecting…',
  offline: 'You are offline',
  signedOut: 'Not signed in',
  ended: 'Session ended',
  signOut: 'Sign out',
  signOutFailed: 'Signing out failed.',
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
  latest: 'Jump to latest',
};

/**
 * @typedef {typeof STRINGS & Partial<typeof import('./sign-in-strings.js').SIGN_IN_STRINGS> &
 * Partial<import('./form/strings.js').FormStrings>} Strings
 */

/**
 * @param {string} template
 * @param {Record<string, string>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
