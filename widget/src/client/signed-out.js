// Tells pages that show the conversation of a session that has expired: the user has signed out in another one.

/** Name of the channel. Its messages are edge and user. */
export const SIGNED_OUT = 'causeway-signed-out';
