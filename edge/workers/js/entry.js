// What Cloudflare calls: the Worker's handler and the classes of its Durable Objects. Both only call the Wasm.
//
// A program that has trapped is replaced by a new instance before the next call: its memory is no longer sound.
// Requests that waited for the old one fail.

/* global WebSocketPair */

import { DurableObject } from 'cloudflare:workers';

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

/** Calls the object in Wasm. No method by name: those can be called through the object's stub. */
const CALL = Symbol('call');

/**
 * A class of Durable Objects, whose object in Wasm is made again after a trap.
 * @param {new (state: any, env: unknown) => any} Inner
 * @param {(state: any) => void} [afterTrap]
 */
const objects = (Inner, afterTrap) =>
  class extends DurableObject {
    #state;
    #env;
    /** @type {any} */
    #inner;
    #instanceId = -1;

    /** @param {unknown} objectState @param {unknown} env */
    constructor(objectState, env) {
      super(objectState, env);
      this.#state = objectState;
      this.#env = env;
    }

    /** @param {(inner: any) => any} call */
    [CALL](call) {
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
      return this[CALL]((inner) => inner.fetch(request));
    }

    alarm() {
      return this[CALL]((inner) => inner.alarm());
    }

    /** @param {WebSocket} socket @param {string | ArrayBuffer} message */
    webSocketMessage(socket, message) {
      return this[CALL]((inner) => inner.webSocketMessage(socket, message));
    }

    /** @param {WebSocket} socket @param {number} code @param {string} reason @param {boolean} wasClean */
    webSocketClose(socket, code, reason, wasClean) {
      return this[CALL]((inner) => inner.webSocketClose(socket, code, reason, wasClean));
    }

    /** @param {WebSocket} socket @param {unknown} error */
    webSocketError(socket, error) {
      return this[CALL]((inner) => inner.webSocketError(socket, error));
    }
  };

export const Coordinator = objects(wasm.Coordinator);
export const Checkpoints = objects(wasm.Checkpoints);

/** A hub that trapped may have sent what it did not store. @param {{ getWebSockets(): WebSocket[] }} objectState */
function closeSockets(objectState) {
  for (const socket of objectState.getWebSockets()) socket.close(1012, 'restarted');
}

/** A user's hub. What is asynchronous of it is here, so that each operation calls the Wasm once or twice. */
export class UserHub extends objects(wasm.UserHub, closeSockets) {
  #hasTimer = false;

  /** Appends records, for what became of them. @param {string} slices */
  append(slices) {
    return this[CALL]((inner) => {
      const outcome = inner.append(slices);
      this.#watch(inner);
      return outcome;
    });
  }

  /** Reads a page of history, or `null`. @param {string} request */
  history(request) {
    return this[CALL]((inner) => inner.history(request));
  }

  /** Ends a session's streams. @param {string} end */
  end(end) {
    return this[CALL]((inner) => inner.end(end));
  }

  /** Opens a stream. @override @param {Request} request */
  fetch({ headers }) {
    const { 0: client, 1: server } = new WebSocketPair();
    const status = this[CALL]((inner) => inner.open(headers, server));
    const socket = status === 101 ? { webSocket: client } : {};
    return new Response(null, { status, ...socket });
  }

  /** Sees to it that what is held is stored. With a timer, the object does not hibernate. @param {any} inner */
  #watch(inner) {
    if (this.#hasTimer) return;
    const waitMs = inner.holdsForMs();
    if (waitMs === undefined) return;
    this.#hasTimer = true;
    setTimeout(() => {
      this.#hasTimer = false;
      this[CALL]((current) => {
        current.storeHeld();
        this.#watch(current);
      });
    }, waitMs);
  }
}
