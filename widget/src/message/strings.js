// The texts about what a message has besides plain text. A page replaces any of them through the widget's `strings`.

export const MESSAGE_STRINGS = {
  latest: 'Jump to latest',
  code: 'Code',
  table: 'Table',
  copy: 'Copy',
  copied: 'Copied',
  copyMessage: 'Copy message',
  deleteMessage: 'Delete message',
  confirmDelete: 'Delete this message?',
  notDeleted: 'The message was not deleted.',
  files: 'Files',
  unread: 'New',
  loadingOlder: 'Loading earlier messages…',
  olderLimit: 'Earlier messages are not shown here.',
};

/** @typedef {typeof MESSAGE_STRINGS} MessageStrings */
