// What Cloudflare calls: the Worker's handler and the classes of its Durable Objects. Both only call the Wasm.
//
// A program that has trapped is replaced by a new instance before the next call: its memory is no longer sound.
// Requests that waited for the old one fail.

/* global WebSocketPair */

import * as wasm from './index.js';

/** Shared with the `worker` crate: whether the instance has trapped, and how many there were. */
const state = wasm.__worker_init_state();

Error.stackTraceLimit = 100;
addEventListener('error', ({ error }) => note(error));

/** Replaces an instance that has trapped. */
function replaceTrapped() {
  if (!state.criticalError) return;
  console.log('Reinitializing Wasm application');
  wasm.__wbg_reset_state();
  state.criticalError = false;
  state.instanceId++;
}

/** Notes a trap. One for want of stack is a `RangeError`. @param {unknown} error */
function note(error) {
  if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) return;
  console.error('Critical', error);
  state.criticalError = true;
}

/** @template T @param {() => T} call @returns {T} */
function run(call) {
  replaceTrapped();
  try {
    return call();
  } catch (error) {
    note(error);
    throw error;
  }
}

export default {
  /** @param {Request} request @param {unknown} env @param {unknown} context */
  fetch: (request, env, context) => run(() => wasm.fetch(request, env, context)),
};

/**
 * A class of Durable Objects, whose object in Wasm is made again after a trap.
 * @param {new (state: any, env: unknown) => any} Inner
 * @param {(state: any) => void} [afterTrap]
 */
const objects = (Inner, afterTrap) =>
  class {
    #state;
    #env;
    /** @type {any} */
    #inner;
    #instanceId = -1;

    /** @param {unknown} objectState @param {unknown} env */
    constructor(objectState, env) {
      this.#state = objectState;
      this.#env = env;
    }

    /** @param {(inner: any) => any} call */
    run(call) {
      return run(() => {
        if (this.#instanceId !== state.instanceId) {
          if (this.#inner) afterTrap?.(this.#state);
          this.#inner = new Inner(this.#state, this.#env);
          this.#instanceId = state.instanceId;
        }
        return call(this.#inner);
      });
    }

    /** @param {Request} request */
    fetch(request) {
      return this.run((inner) => inner.fetch(request));
    }

    alarm() {
      return this.run((inner) => inner.alarm());
    }

    /** @param {WebSocket} socket @param {string | ArrayBuffer} message */
    webSocketMessage(socket, message) {
      return this.run((inner) => inner.webSocketMessage(socket, message));
    }

    /** @param {WebSocket} socket @param {number} code @param {string} reason @param {boolean} wasClean */
    webSocketClose(socket, code, reason, wasClean) {
      return this.run((inner) => inner.webSocketClose(socket, code, reason, wasClean));
    }

    /** @param {WebSocket} socket @param {unknown} error */
    webSocketError(socket, error) {
      return this.run((inner) => inner.webSocketError(socket, error));
    }
  };

export const Coordinator = objects(wasm.Coordinator);
export const Checkpoints = objects(wasm.Checkpoints);

/** A hub that trapped may have sent what it did not store. @param {{ getWebSockets(): WebSocket[] }} objectState */
function closeSockets(objectState) {
  for (const socket of objectState.getWebSockets()) socket.close(1012, 'restarted');
}

/** A user's hub. What is asynchronous of its requests is here, so that each calls the Wasm once. */
export class UserHub extends objects(wasm.UserHub, closeSockets) {
  /** @override @param {Request} request */
  async fetch(request) {
    const operation = request.url.slice(request.url.lastIndexOf('/') + 1);
    if (operation === 'open') return this.#open(request);
    if (operation !== 'append' && operation !== 'end') return new Response(null, { status: 404 });
    const body = await request.text();
    return new Response(this.run((inner) => inner[operation](body)));
  }

  /** @param {Request} request */
  #open({ headers }) {
    const { 0: client, 1: server } = new WebSocketPair();
    const status = this.run((inner) => inner.open(headers, server));
    const socket = status === 101 ? { webSocket: client } : {};
    return new Response(null, { status, ...socket });
  }
}
