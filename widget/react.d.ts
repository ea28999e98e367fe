// `<chat-widget>` in the JSX of React 19: `import type {} from 'causeway-client/react'` in any file of the project.

import type { DetailedHTMLProps, HTMLAttributes } from 'react';

import type {
  ChatMessageDetail,
  ChatStatusDetail,
  ChatToggleDetail,
  ChatUnreadDetail,
  ChatWidget,
  ChatWidgetStrings,
} from './chat-widget.js';

export interface ChatWidgetAttributes extends HTMLAttributes<ChatWidget> {
  edge?: string | undefined;
  channel?: string | undefined;
  heading?: string | undefined;
  popup?: boolean | undefined;
  compact?: boolean | undefined;
  deletable?: boolean | undefined;
  open?: boolean | undefined;
  strings?: ChatWidgetStrings | undefined;
  'onchat-status'?: ((event: CustomEvent<ChatStatusDetail>) => void) | undefined;
  'onchat-message'?: ((event: CustomEvent<ChatMessageDetail>) => void) | undefined;
  'onchat-unread'?: ((event: CustomEvent<ChatUnreadDetail>) => void) | undefined;
  'onchat-toggle'?: ((event: CustomEvent<ChatToggleDetail>) => void) | undefined;
}

/** What `<chat-widget>` takes, with `key` and `ref`. */
export type ChatWidgetProps = DetailedHTMLProps<ChatWidgetAttributes, ChatWidget>;

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'chat-widget': ChatWidgetProps;
    }
  }
}
