// The whole product, for the test files of this folder that share it: its start is most of what they cost.

import { Kafka } from '../support/kafka.mjs';
import { startStack } from '../support/stack.mjs';

export const { stack, github, graph } = await startStack(
  ['kafka', 'redis', 'emulators', 'edge', 'bridge', 'assistant', 'host'],
  {},
  undefined,
  '',
  { answers: 40, lines: 20, values: 10 },
);
export const kafka = new Kafka(stack.brokers);
