// What Cloudflare's runtime has beyond browsers.

declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}

interface HTMLRewriterElement {
  getAttribute(name: string): string | null;
  prepend(content: string, options: { html: boolean }): HTMLRewriterElement;
}

declare class HTMLRewriter {
  on(selector: string, handlers: { element(element: HTMLRewriterElement): void }): HTMLRewriter;
  transform(response: Response): Response;
}

declare class WebSocketPair {
  0: WebSocket;
  1: WebSocket;
}

declare class WebSocketRequestResponsePair {
  constructor(request: string, response: string);
}

declare module 'cloudflare:workers' {
  /** The class whose methods a stub can call. */
  class DurableObject {
    constructor(state: unknown, env: unknown);
  }
}
