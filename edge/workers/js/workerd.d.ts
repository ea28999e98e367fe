// What Cloudflare's runtime has beyond browsers.

declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}

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
