// The example backend: answers what it reads on chat.inbound.

import { cargoProgram } from '../place.mjs';
import { Part } from '../process.mjs';

/** @param {{ state: string, brokers: () => string }} options */
export function assistantPart({ state, brokers }) {
  const part = new Part({
    name: 'assistant',
    state,
    command: [cargoProgram('causeway-example-assistant')],
    env: { NO_COLOR: '1' },
    hint: 'build it with: cargo build -p causeway-example-assistant; is the broker reachable?',
  });
  const start = part.start.bind(part);
  part.start = async () => {
    part.options.env = { ...part.options.env, KAFKA_BROKERS: brokers() };
    await start();
  };
  return part;
}
