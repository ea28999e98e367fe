// The example backend: answers the events on chat.inbound.

import { cargoProgram } from '../path.mjs';
import { Part } from '../process.mjs';

/** @param {{ state: string, brokers: string }} options */
export function assistantPart({ state, brokers }) {
  const part = new Part({
    name: 'assistant',
    state,
    command: [cargoProgram('causeway-example-assistant')],
    env: { KAFKA_BROKERS: brokers, NO_COLOR: '1' },
    // It does not answer events from before it listens.
    ready: async () => part.output().includes('"message":"ready"'),
    hint: 'build it with: cargo build -p causeway-example-assistant; is the broker reachable?',
  });
  return part;
}
