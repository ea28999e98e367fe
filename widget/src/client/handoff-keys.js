// Keys in the tab's storage, under which a sign-in that leaves the page finds what it left behind.

/** Verifier, edge and the page's own fragment. */
export const KEY = 'chat-widget-handoff';
/** Marks a window that was opened for a sign-in. Also the name of that window and of the channel to its opener. */
export const POPUP = 'chat-widget-popup';
/** Marks a tab that has left the page for a sign-in. */
export const LEAVING = 'chat-widget-leaving';
