// What wasm-bindgen makes of the crate, beside `entry.js` while the Worker is built.

type Inner = new (state: unknown, env: unknown) => any;

export function fetch(request: Request, env: unknown, context: unknown): Response | Promise<Response>;
export const Coordinator: Inner;
export const UserHub: Inner;
export const Checkpoints: Inner;
export function __worker_init_state(): { criticalError: boolean; instanceId: number };
export function __wbg_reset_state(): void;
