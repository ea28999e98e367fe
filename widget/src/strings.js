// All texts of the widget. A page replaces any of them through `strings`. `{…}` are placeholders.

export const STRINGS = {
  heading: 'Chat',
  connecting: 'Connecting…',
  online: 'Online',
  reconnecting: 'Reconnecting…',
  offline: 'You are offline',
  signedOut: 'Not signed in',
  ended: 'Session ended',
  signInTitle: 'Sign in to start chatting',
  signInText: 'You will come back to this page.',
  signIn: 'Continue with {provider}',
  otherAccount: 'Use another account',
  cancelledText: 'The sign-in was cancelled.',
  noProviders: 'Signing in is not available right now.',
  endedTitle: 'Your session has ended',
  endedText: 'Sign in again to pick up where you left off.',
  blockedText: 'The sign-in did not take effect. Your browser may be blocking cookies of {edge}.',
  ownWindow: 'Open the chat in a window of its own',
  switched: 'You are now signed in as {name}.',
  kept: 'What {before} had not sent is kept until they sign in again.',
  signOut: 'Sign out',
  signOutFailed: 'Signing out failed. Please try again.',
  emptyTitle: 'No messages yet',
  emptyText: 'Write the first one below.',
  placeholder: 'Write a message',
  send: 'Send',
  full: 'Too many messages are waiting.',
  sending: 'Sending…',
  waiting: 'Waiting to be sent',
  sent: 'Sent',
  failed: 'Not sent',
  retry: 'Try again',
  stalled: 'The answer was interrupted',
  gap: 'Older messages may be missing',
  you: 'You',
  assistant: 'Assistant',
  latest: 'Jump to latest',
  newMessages: '{count} new messages',
};

/** @typedef {typeof STRINGS} Strings */

/**
 * @param {string} template
 * @param {Record<string, string>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
