// The types of cases and their results.

/**
 * @typedef {object} Case
 * @property {string} id S and a number, as in the catalogue
 * @property {string} title
 * @property {string} [runtime] the only runtime where the attack can be made; elsewhere other tests cover the case
 * @property {(bff: import('./bff.mjs').Bff, provider: import('./provider/stub.mjs').ProviderStub) => Promise<unknown>}
 * attack throws if the attack worked
 */
/** @typedef {'passed' | 'failed' | 'cannot run' | 'missing'} Outcome */
/**
 * An attack by HTTP, a test of one part, or a journey through the whole stack.
 * @typedef {'http' | 'native' | 'journey'} Kind
 */
/** @typedef {{ id: string, title: string, kind: Kind, where: string, outcome: Outcome, detail?: string }} Result */

export {};
