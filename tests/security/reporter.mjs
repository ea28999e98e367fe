// A reporter for `node --test` that prints what `spec` prints, and writes down how each test ended.
//
// CAUSEWAY_TEST_OUTCOMES names the file: one line of JSON a test, written when the test ends, so that a crash or a
// forced exit loses none of those before it. A test that did not end has no line.

import { appendFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { spec as Spec } from 'node:test/reporters';

const file = process.env.CAUSEWAY_TEST_OUTCOMES;
// Programs that the tests start must not write there.
delete process.env.CAUSEWAY_TEST_OUTCOMES;

/** @typedef {{ name: string, hasPassed: boolean }} TestOutcome `hasPassed`: it ran and passed */

/** @param {AsyncIterable<any>} events */
export default async function* reporter(events) {
  yield* Readable.from(recordOutcomes(events)).compose(new Spec());
}

/** @param {AsyncIterable<any>} events */
async function* recordOutcomes(events) {
  for await (const event of events) {
    if (file && (event.type === 'test:pass' || event.type === 'test:fail') && event.data.details.type !== 'suite')
      appendFileSync(file, `${JSON.stringify(outcomeOf(event))}\n`);
    yield event;
  }
}

/** @param {{ type: string, data: { name: string, skip?: unknown, todo?: unknown } }} event @returns {TestOutcome} */
export function outcomeOf({ type, data: { name, skip, todo } }) {
  return { name, hasPassed: type === 'test:pass' && !isSet(skip) && !isSet(todo) };
}

/** A test is skipped for a reason or with `true`; `skip: ''` skips, too. @param {unknown} directive */
function isSet(directive) {
  return directive !== undefined && directive !== false;
}
