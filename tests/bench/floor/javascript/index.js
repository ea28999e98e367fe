// The floor of JavaScript on Workers: a Worker that does nothing.

export default {
  fetch() {
    return new Response('ok');
  },
};
