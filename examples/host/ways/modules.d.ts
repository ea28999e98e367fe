// What the pages import: from the edge, whose address the server puts in; by an import map; and from packages that only
// these pages need.

declare module '{{edge}}/assets/chat-widget.js' {
  export const mount: typeof import('../../../widget/src/module.js').mount;
}

declare module 'chat-widget' {
  export const mount: typeof import('../../../widget/src/module.js').mount;
}

declare module 'causeway/chat-widget' {
  export const mount: typeof import('../../../widget/src/module.js').mount;
}

declare module 'causeway/parcel';
declare module 'single-spa';
declare module 'webpack';
declare module 'vite';
declare module '@module-federation/vite';
