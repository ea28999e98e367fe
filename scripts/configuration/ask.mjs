// Asks for what no flag has given. A secret's characters are not shown.

import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

import { checkIssuer, list, take, text } from './answer.mjs';
import { FLAGS, PROVIDER_FLAGS } from './flag.mjs';
import { PRESETS, presetOf } from './preset.mjs';
import { Refusal } from './refusal.mjs';
import { hasCredential } from './secret.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./answer.mjs').Provider} Provider */

/** The flags that are still needed, as users write them. @param {Answers} answers */
export function missing({ values, providers }) {
  const needed = ['domain', 'bridge-url', ...(values.runtime === 'spin' ? ['redis-address'] : []), 'kafka-brokers'];
  if (usesSasl(values))
    needed.push(
      'kafka-mechanism',
      ...(values['kafka-mechanism'] === 'OAUTHBEARER' ? ['kafka-token-url', 'kafka-client-id'] : ['kafka-user']),
    );
  return [
    ...needed.filter((name) => values[name] === undefined).map((name) => `--${name}`),
    ...(providers.length ? [] : ['--provider']),
    ...providers.flatMap(missingOf),
  ];
}

/**
 * What a deployment still lacks but a run does not need, as users write it.
 * @param {Answers} answers @param {import('./secret.mjs').Secrets} kept secrets of earlier runs
 */
export function pending({ values, providers, secrets }, kept) {
  const kafka = kafkaSecret(values);
  return [
    ...providers.flatMap(({ preset, id, values: of, secrets: own }) => {
      if (!text(of, 'client-id')) return [`--client-id (of --provider ${id})`];
      const isGiven = Object.keys(own).length > 0 || hasCredential(kept, preset, id);
      return isGiven ? [] : [`--client-secret-file (of --provider ${id})`];
    }),
    ...(kafka && !secrets[kafka.answer] && !kept[kafka.setting] ? [`--${kafka.answer}-file`] : []),
  ];
}

/** The secret for Kafka that the answers call for. @param {import('./answer.mjs').Values} values */
export function kafkaSecret(values) {
  if (!usesSasl(values)) return undefined;
  return values['kafka-mechanism'] === 'OAUTHBEARER'
    ? { answer: 'kafka-client-secret', setting: 'KAFKA_SASL_CLIENT_SECRET' }
    : { answer: 'kafka-password', setting: 'KAFKA_SASL_PASSWORD' };
}

/** @param {Provider} provider */
function missingOf({ preset, id, values }) {
  const { issuerLike, kind } = presetOf(preset) ?? {};
  const of = (/** @type {string} */ flag) => `${flag} (of --provider ${id})`;
  if (issuerLike && !values.issuer) return [of('--issuer')];
  if (kind === 'entra' && values['client-id'] && !values.tenant) return [of('--tenant')];
  if (kind === 'entra' && /^[a-z]+$/.test(text(values, 'tenant') ?? '') && !list(values, 'allowed-tenant').length)
    return [of('--allowed-tenant')];
  return [];
}

/** @param {import('./answer.mjs').Values} values */
export const usesSasl = (values) => (text(values, 'kafka-security') ?? '').startsWith('SASL');

/**
 * Completes the answers: asks everything that has none, or what is pending alone if nothing else is missing.
 * @param {Answers} answers @param {import('./secret.mjs').Secrets} kept secrets of earlier runs
 * @param {NodeJS.ReadStream} input @param {NodeJS.WriteStream} output
 */
export async function ask(answers, kept, input, output) {
  const terminal = new Terminal(input, output);
  try {
    const { values } = answers;
    if (!missing(answers).length) {
      for (const provider of answers.providers) await askForProvider(terminal, provider, kept);
      const kafka = kafkaSecret(values);
      if (kafka && !kept[kafka.setting]) await askFor(terminal, answers, `${kafka.answer}-file`);
      return;
    }
    for (const name of ['runtime', 'domain', 'host-page']) await askFor(terminal, answers, name);
    if (values['cross-site'] === undefined && otherSites(values).length) {
      const answer = await terminal.line(
        `Are ${otherSites(values).join(', ')} on another site than ${text(values, 'domain')}? (yes or no) [yes] `,
      );
      values['cross-site'] = !/^no?$/i.test(answer);
    }
    await askFor(terminal, answers, 'bridge-url');
    for (const provider of answers.providers) await askForProvider(terminal, provider, kept);
    while (await askForNextProvider(terminal, answers, kept));
    if (values.runtime === 'spin') await askFor(terminal, answers, 'redis-address');
    for (const name of ['kafka-brokers', 'kafka-security']) await askFor(terminal, answers, name);
    if (usesSasl(values)) {
      await askFor(terminal, answers, 'kafka-mechanism');
      const client = ['kafka-token-url', 'kafka-client-id', 'kafka-client-secret-file'];
      const byToken = values['kafka-mechanism'] === 'OAUTHBEARER';
      const { setting = '' } = kafkaSecret(values) ?? {};
      for (const name of byToken ? client : ['kafka-user', 'kafka-password-file'])
        if (!name.endsWith('-file') || !kept[setting]) await askFor(terminal, answers, name);
    }
  } finally {
    terminal.close();
  }
}

/**
 * Host pages whose last two labels differ from the domain's. Whether they are another site, only the public suffix list
 * tells; where the two labels are the same, they may still be.
 * @param {import('./answer.mjs').Values} values
 */
export function otherSites(values) {
  const labels = (/** @type {string} */ host) => host.replace(/:\d+$/, '').split('.').slice(-2).join('.');
  const own = labels(text(values, 'domain') ?? '');
  return list(values, 'host-page').filter((page) => labels(new URL(page).host) !== own);
}

/** @param {Terminal} terminal @param {Answers} answers @param {string} name */
async function askFor(terminal, answers, name) {
  const flag = FLAGS[name];
  if (!flag?.ask || answers.values[name] !== undefined) return;
  if (flag.kind === 'secret') {
    const key = name.replace(/-file$/, '');
    answers.secrets[key] ??= await terminal.secret(`${flag.ask} (not shown; empty: later): `);
    if (!answers.secrets[key]) delete answers.secrets[key];
    return;
  }
  const { initial } = flag;
  for (;;) {
    const answer = (await terminal.line(`${flag.ask}${initial ? ` [${initial}]` : ''}: `)) || initial;
    if (answer === undefined) continue;
    const parts = flag.kind === 'list' ? answer.split(/[\s,]+/).filter(Boolean) : [answer];
    if (flag.kind === 'list') answers.values[name] = [];
    if (parts.every((part) => terminal.accepts(() => take(answers, flag, name, part, `'${part}'`)))) return;
    delete answers.values[name];
  }
}

/** @param {Terminal} terminal @param {Answers} answers @param {import('./secret.mjs').Secrets} kept */
async function askForNextProvider(terminal, answers, kept) {
  const names = Object.keys(PRESETS).join(', ');
  const none = answers.providers.length ? '; empty: no more' : '';
  for (;;) {
    const name = await terminal.line(`Identity provider (${names}${none}): `);
    if (!name && answers.providers.length) return false;
    const taken = answers.providers.some(({ id }) => id === name);
    if (taken) terminal.say(`${name} is there already; for another one of its kind use the flags --provider and --id`);
    else if (presetOf(name)) {
      /** @type {Provider} */
      const provider = { preset: name, id: name, values: {}, secrets: {} };
      await askForProvider(terminal, provider, kept);
      answers.providers.push(provider);
      return true;
    } else terminal.say(`'${name}' is none of these`);
  }
}

/** @param {Terminal} terminal @param {Provider} provider @param {import('./secret.mjs').Secrets} kept */
async function askForProvider(terminal, provider, kept) {
  const { values, secrets, preset, id } = provider;
  const { title, issuerLike } = presetOf(preset) ?? {};
  const of = id === preset ? title : `${title} (${id})`;
  const one = async (/** @type {string} */ name, /** @type {string} */ question, optional = false) => {
    while (values[name] === undefined) {
      const answer = await terminal.line(`${of}: ${question}: `, optional);
      if (!answer && optional) return;
      terminal.accepts(() => {
        take(provider, PROVIDER_FLAGS[name], name, answer, `'${answer}'`);
        checkIssuer(provider, `'${answer}'`);
      }) || delete values[name];
    }
  };
  const several = async (/** @type {string} */ name, /** @type {string} */ question) => {
    while (!list(values, name).length) {
      const parts = (await terminal.line(`${of}: ${question}: `)).split(/[\s,]+/).filter(Boolean);
      const use = (/** @type {string} */ part) => take(provider, PROVIDER_FLAGS[name], name, part, `'${part}'`);
      if (!parts.every((part) => terminal.accepts(() => use(part)))) delete values[name];
    }
  };
  if (issuerLike) await one('issuer', `issuer, such as ${issuerLike}`);
  await one('client-id', 'client id (empty: not registered yet)', true);
  if (!values['client-id']) return;
  if (preset === 'entra') await one('tenant', "the tenant's id");
  if (/^[a-z]+$/.test(text(values, 'tenant') ?? ''))
    await several('allowed-tenant', 'ids of the tenants whose users may sign in');
  if (Object.keys(secrets).length || hasCredential(kept, preset, id)) return;
  secrets['client-secret'] = await terminal.secret(`${of}: client secret (not shown; empty: later): `);
  if (!secrets['client-secret']) delete secrets['client-secret'];
}

/** Questions on standard error, so that standard output has the results only. */
class Terminal {
  #hidden = false;

  /** @param {NodeJS.ReadStream} input @param {NodeJS.WriteStream} output */
  constructor(input, output) {
    this.output = output;
    const shown = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.#hidden) output.write(chunk);
        done();
      },
    });
    this.reader = createInterface({ input, output: shown, terminal: input.isTTY === true, historySize: 0 });
    // Reads ahead without loss, where the answers come from a file.
    this.lines = this.reader[Symbol.asyncIterator]();
    this.reader.on('SIGINT', () => {
      output.write('\n');
      process.exit(130);
    });
  }

  /** @param {string} question @param {boolean} [optional] whether the end of the answers leaves it open */
  async line(question, optional = false) {
    // As its prompt, so that it stays while the line is edited.
    this.reader.setPrompt(question);
    this.reader.prompt();
    const { value, done } = await this.lines.next();
    if (done && optional) return '';
    if (done) throw new Refusal('the answers ended before the last question; see --help for the flags');
    return value.trim();
  }

  /** @param {string} question */
  async secret(question) {
    this.output.write(question);
    this.#hidden = true;
    try {
      return await this.line('', true);
    } finally {
      this.#hidden = false;
      this.output.write('\n');
    }
  }

  /** @param {string} message */
  say(message) {
    this.output.write(`  ${message}\n`);
  }

  /** Whether an answer is taken; otherwise says why not. @param {() => void} use */
  accepts(use) {
    try {
      use();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.say(error.message);
      return false;
    }
  }

  close() {
    this.reader.close();
  }
}
