// What a user's hub needs of its object. Each function is one crossing between JavaScript and Wasm.

/* global WebSocketRequestResponsePair */

/** @typedef {{ exec(statement: string, ...values: unknown[]): { raw(): { toArray(): unknown[] } } }} Sql */
/** @typedef {{ sql: Sql, getAlarm(): Promise<number | null>, setAlarm(atMs: number): Promise<void> }} Storage */
/**
 * @typedef {object} State
 * @property {Storage} storage
 * @property {() => WebSocket[]} getWebSockets
 * @property {(socket: WebSocket) => void} acceptWebSocket
 * @property {(pair: WebSocketRequestResponsePair) => void} setWebSocketAutoResponse
 * @property {(work: Promise<unknown>) => void} waitUntil
 */
/** @typedef {WebSocket & { serializeAttachment(value: unknown): void, deserializeAttachment(): unknown }} Socket */

/** @param {State} state @param {string} statements */
export function executeAll(state, statements) {
  state.storage.sql.exec(statements);
}

/** @param {State} state @param {string} statement @param {string | undefined} text @param {Float64Array} numbers */
export function execute(state, statement, text, numbers) {
  exec(state, statement, text, numbers);
}

/**
 * The rows as JSON.
 * @param {State} state @param {string} statement @param {string | undefined} text @param {Float64Array} numbers
 */
export const query = (state, statement, text, numbers) =>
  JSON.stringify(exec(state, statement, text, numbers).raw().toArray());

/** @param {State} state @param {string} statement @param {string | undefined} text @param {Float64Array} numbers */
const exec = (state, statement, text, numbers) =>
  text === undefined
    ? state.storage.sql.exec(statement, ...numbers)
    : state.storage.sql.exec(statement, text, ...numbers);

/** The sockets that the object has not closed. @param {State} state */
export const openSockets = (state) => state.getWebSockets().filter(({ readyState }) => readyState === OPEN);

const OPEN = 1;

/** @param {State} state @param {WebSocket} socket */
export function accept(state, socket) {
  state.acceptWebSocket(socket);
}

/**
 * Lets the runtime answer a message without waking the object.
 * @param {State} state @param {string} ping @param {string} pong
 */
export function answerPings(state, ping, pong) {
  state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(ping, pong));
}

/**
 * Sets the alarm unless there is one. Nobody waits for it: if it fails, the object starts anew.
 * @param {State} state @param {number} atMs
 */
export function ensureAlarm(state, atMs) {
  const { storage } = state;
  const set = async () => (await storage.getAlarm()) ?? storage.setAlarm(atMs);
  state.waitUntil(set().catch(() => {}));
}

/** @param {Socket} socket */
export function attachment(socket) {
  const text = socket.deserializeAttachment();
  return typeof text === 'string' ? text : undefined;
}

/** @param {Socket} socket @param {string} text */
export const attach = (socket, text) => ignoringClosed(() => socket.serializeAttachment(text));

/** @param {WebSocket} socket @param {string} text */
export const send = (socket, text) => ignoringClosed(() => socket.send(text));

/** @param {WebSocket} socket @param {number} code @param {string} reason */
export const close = (socket, code, reason) => ignoringClosed(() => socket.close(code, reason));

/** A socket that is closing rejects everything. Its client resumes from its id. @param {() => void} act */
function ignoringClosed(act) {
  try {
    act();
  } catch {
    // Its close is reported separately.
  }
}
