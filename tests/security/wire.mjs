// What the suite's runner and its own tests use of {@link import('../support/exchange.mjs')}.

export { exchange, underWay } from '../support/exchange.mjs';
