// What Cloudflare's runtime has beyond browsers.

declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}
