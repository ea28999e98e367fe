// The texts of the compact widget. A page replaces any of them through the widget's `strings`. `{…}` are placeholders.

export const LAUNCHER_STRINGS = {
  open: 'Open chat',
  close: 'Close chat',
  unreadCount: '{count} new messages',
  unreadCountOne: '{count} new message',
};
