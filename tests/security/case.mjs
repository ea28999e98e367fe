// What a case is.

/**
 * @typedef {object} Case
 * @property {string} id S and a number, as in the catalogue
 * @property {string} title
 * @property {string} [runtime] the only one where the attack can be made; elsewhere the case rests on what else stands for it
 * @property {(bff: import('./bff.mjs').Bff, provider: import('./provider/stub.mjs').ProviderStub) => Promise<unknown>} attack throws if the attack worked
 */
/** @typedef {'passed' | 'failed' | 'cannot run' | 'missing'} Outcome */
/** What kind of test: an attack by HTTP, a test of a part by itself, a journey through the whole stack. @typedef {'http' | 'native' | 'journey'} Kind */
/** @typedef {{ id: string, title: string, kind: Kind, where: string, outcome: Outcome, detail?: string }} Result */

export {};
