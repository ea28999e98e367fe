// What Cloudflare calls: the Worker's handler and the classes of its Durable Objects. Both only call the Wasm.
//
// A program that has trapped is replaced by a new instance before the next call: its memory is no longer sound.
// Requests that waited for the old one fail.

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
 * @param {new (state: unknown, env: unknown) => any} Inner
 */
const objects = (Inner) =>
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

    /** @param {(inner: any) => unknown} call */
    #run(call) {
      return run(() => {
        if (this.#instanceId !== state.instanceId) {
          this.#inner = new Inner(this.#state, this.#env);
          this.#instanceId = state.instanceId;
        }
        return call(this.#inner);
      });
    }

    /** @param {Request} request */
    fetch(request) {
      return this.#run((inner) => inner.fetch(request));
    }

    alarm() {
      return this.#run((inner) => inner.alarm());
    }

    /** @param {WebSocket} socket @param {string | ArrayBuffer} message */
    webSocketMessage(socket, message) {
      return this.#run((inner) => inner.webSocketMessage(socket, message));
    }

    /** @param {WebSocket} socket @param {number} code @param {string} reason @param {boolean} wasClean */
    webSocketClose(socket, code, reason, wasClean) {
      return this.#run((inner) => inner.webSocketClose(socket, code, reason, wasClean));
    }

    /** @param {WebSocket} socket @param {unknown} error */
    webSocketError(socket, error) {
      return this.#run((inner) => inner.webSocketError(socket, error));
    }
  };

export const Coordinator = objects(wasm.Coordinator);
export const UserHub = objects(wasm.UserHub);
export const Checkpoints = objects(wasm.Checkpoints);
