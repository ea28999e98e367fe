// The leak scan: no value that was secret in a run may be in anything a browser got or an operator can read.

/** @typedef {import('./bff.mjs').Bff} Bff */

/** What a secret can look like: as it is, escaped for a URL, and in base64 of either alphabet at each of three offsets. @param {string} secret */
export function forms(secret) {
  const found = new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]);
  for (const offset of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    // The first and last characters depend on what stands around the secret.
    const cut = (/** @type {string} */ text) => text.slice(offset ? offset + 1 : 0, Math.floor((padded.length * 8) / 6));
    found.add(cut(padded.toString('base64'))).add(cut(padded.toString('base64url')));
  }
  return [...found];
}

/**
 * Lists which secrets a text gives away.
 * @param {string} text @param {readonly { what: string, forms: readonly string[] }[]} secrets
 */
export function found(text, secrets) {
  return secrets.filter((secret) => secret.forms.some((form) => text.includes(form))).map(({ what, forms: [value = ''] }) => `${what} ${value.slice(0, 6)}…`);
}

/** @param {Bff} bff @param {import('./provider/stub.mjs').ProviderStub} provider @returns {import('./case.mjs').Result} */
export function leakResult(bff, provider) {
  const secrets = [
    ...[...provider.secrets].map(([value, what]) => ({ what, forms: forms(value) })),
    ...(bff.running?.secrets ?? []).map((value) => ({ what: 'key of the BFF', forms: forms(value) })),
  ];
  /** @type {string[]} */
  const leaks = [];
  let scanned = 0;
  for (const { answer, mayHold } of bff.traffic) {
    if (mayHold) continue;
    scanned++;
    const said = `${JSON.stringify(answer.headers)}\n${answer.text}`;
    for (const leak of found(said, secrets)) leaks.push(`${answer.target.slice(0, 120)} (${answer.status}): ${leak}`);
  }
  const log = bff.running?.log() ?? '';
  for (const [number, line] of log.split('\n').entries()) {
    for (const leak of found(line, secrets)) leaks.push(`log line ${number + 1}: ${leak}: ${line.slice(0, 160)}`);
  }
  const title = `${scanned} answers and ${log.split('\n').length} log lines searched for ${secrets.length} secrets`;
  console.log(`scan   S133  ${title}`);
  return { id: 'S133', title, where: 'leak scan', outcome: leaks.length ? 'failed' : 'passed', ...(leaks.length && { detail: leaks.slice(0, 20).join('\n') }) };
}
