// The types of `causeway-client/widget`. Those of the classes and functions are generated from the sources; here is what
// pages add to them: the element's name, its events, and the properties that its class defines by a loop.

import type { State } from './types/client/core.js';
import type { ChatWidget } from './types/element.js';
import type { Strings } from './types/strings.js';

export { ChatWidget, mount } from './types/module.js';

/** Texts that a page replaces. */
export type ChatWidgetStrings = Partial<Strings>;

/** `detail` of `chat-status`. */
export interface ChatStatusDetail {
  status: State;
}

/** `detail` of `chat-message`. */
export interface ChatMessageDetail {
  id: string | null;
  role: 'user' | 'assistant';
  text: string;
}

/** `detail` of `chat-unread`. */
export interface ChatUnreadDetail {
  count: number;
}

/** `detail` of `chat-toggle`. */
export interface ChatToggleDetail {
  open: boolean;
}

declare module './types/element.js' {
  interface ChatWidget {
    get edge(): string | null;
    set edge(value: string | null | undefined);
    get channel(): string | null;
    set channel(value: string | null | undefined);
    get heading(): string | null;
    set heading(value: string | null | undefined);
    get popup(): boolean;
    set popup(value: boolean | null | undefined);
    get compact(): boolean;
    set compact(value: boolean | null | undefined);
    get open(): boolean;
    set open(value: boolean | null | undefined);
    get deletable(): boolean;
    set deletable(value: boolean | null | undefined);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'chat-widget': ChatWidget;
  }
  interface HTMLElementEventMap {
    'chat-status': CustomEvent<ChatStatusDetail>;
    'chat-message': CustomEvent<ChatMessageDetail>;
    'chat-unread': CustomEvent<ChatUnreadDetail>;
    'chat-toggle': CustomEvent<ChatToggleDetail>;
  }
}
