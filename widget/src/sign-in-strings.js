// The texts about accounts. A page replaces any of them through `strings`. `{…}` are placeholders.

/** Those that the account panel has, too. */
export const POPUP_BLOCKED = 'Your browser has blocked the sign-in window. Allow it for this page, and try again.';
export const OWN_WINDOW = 'Open the chat in a window of its own';

export const SIGN_IN_STRINGS = {
  signInTitle: 'Sign in to start chatting',
  signInText: 'You will come back to this page.',
  signIn: 'Continue with {provider}',
  otherAccount: 'Use another account',
  cancelledText: 'The sign-in was cancelled.',
  popupBlocked: POPUP_BLOCKED,
  noProviders: 'Signing in is not available right now.',
  endedTitle: 'Your session has ended',
  endedText: 'Sign in again to pick up where you left off.',
  blockedText: 'The sign-in did not take effect. Your browser may be blocking cookies of {edge}.',
  ownWindow: OWN_WINDOW,
  switched: 'You are now signed in as {name}.',
  kept: 'What {before} had not sent is kept until they sign in again.',
};
