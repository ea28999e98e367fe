// The example backend: reads events from chat.inbound and writes the answers to chat.outbound.

import { cargoProgram } from '../path.mjs';
import { Part } from '../process.mjs';

/** @param {{ state: string, brokers: string }} options */
export function assistantPart({ state, brokers }) {
  const part = new Part({
    name: 'assistant',
    state,
    command: [cargoProgram('causeway-example-assistant')],
    env: { KAFKA_BROKERS: brokers, NO_COLOR: '1' },
    // It reads from the end of the topic, so it would miss an event that is written before it is ready.
    ready: async () => part.output().includes('"message":"ready"'),
    hint: 'build it with: cargo build -p causeway-example-assistant; is the broker reachable?',
  });
  return part;
}
