// scripts/configure: from answers to the files that a deployment needs. Secrets are in those files alone, never on a
// terminal.
//
// - flag, answer, ask: what the user decides        - preset: what providers need
// - secret: keys, made or kept                      - setting: settings of edge and bridge
// - key: names of settings                          - check: whether edge and bridge would take them
// - format, output, limiter, kubernetes, register, next-step: the files

import { decodeAnswers, list, merged, readCommand, text } from './answer.mjs';
import { ask, kafkaSecret, missing, otherSites, pending, usesSasl } from './ask.mjs';
import { check } from './check.mjs';
import { FLAGS } from './flag.mjs';
import { nameIn } from './key.mjs';
import { droppedOf, outputFiles, readOutput, rejectForeign, write } from './output.mjs';
import { addressesOf } from './register.mjs';
import { Refusal } from './refusal.mjs';
import { bridgeLines, githubApp, hasCredential, nextStep, readSecrets, secretsOf } from './secret.mjs';
import { edgeSettings, isSpin, registered } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./answer.mjs').Command} Command */

/** docs/platforms.md has the source. */
const MOST_BYTES = 5 << 10;

const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
const warn = (/** @type {string} */ line) => process.stderr.write(`configure: ${line}\n`);

try {
  const command = readCommand(process.argv.slice(2));
  process.exitCode = command.check ? await check(command) : await configure(command);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  warn(error.message);
  process.exitCode = 2;
}

/** @param {Command} command */
async function configure({ answers: given, out, yes, isBare, force, rotate, without, unset }) {
  rejectForeign(out);
  for (const { secrets, values } of given.providers)
    if (secrets['github-app']) {
      const { id, number, pem } = githubApp(secrets['github-app']);
      Object.assign(values, { 'client-id': id, ...(number && { 'app-number': number }) });
      if (pem) secrets['github-pem'] = pem;
    }
  const before = readOutput(out, 'answers.json');
  const old = decodeAnswers(before, `${out}/answers.json`);
  const answers = merged(given, old, unset);
  if (without !== undefined && !answers.providers.some(({ id }) => id === without))
    throw new Refusal(`--without-provider ${without}: there is none of that id`);
  answers.providers = answers.providers.filter(({ id }) => id !== without);
  if (answers.values.runtime === undefined && (yes || !missing(answers).length)) answers.values.runtime = 'workers';
  rejectOthers(given, text(answers.values, 'runtime'));
  if (yes && missing(answers).length) throw new Refusal(`--yes needs ${missing(answers).join(', ')}`);

  const kept = readOutput(out, 'secrets.json');
  if (before !== undefined && kept === undefined && !force)
    throw new Refusal(
      `${out}/secrets.json is gone, and with it the keys of the run before. Put it back, or make new keys by --force: ` +
        'that signs all users out',
    );
  if (rotate && kept === undefined) throw new Refusal(`--rotate: there are no keys in ${out} yet`);
  const bridge = readOutput(out, 'bridge.env');
  const earlier = readSecrets(kept, bridge, out);
  if (!yes && (missing(answers).length || pending(answers, earlier).length))
    await ask(answers, earlier, process.stdin, process.stderr);
  else if (isBare) warn('nothing is left to ask; flags change an answer, and --unset takes one back, see --help');
  if (missing(answers).length) throw new Refusal(`not given: ${missing(answers).join(', ')}`);
  rejectIneffective(given, answers.values);

  const secrets = secretsOf(answers, earlier, { force, rotate, without, unset });
  answers.dropped = droppedOf(answers, secrets, old, out);
  write(outputFiles(answers, secrets, { out, force, unset, bridge: bridgeLines(bridge) }), out);
  report(answers, secrets, out);
  if (kept !== undefined) reportKeys(earlier, { force, rotate });
  return 0;
}

/** @param {Answers} given @param {string | undefined} runtime */
function rejectOthers({ values, secrets }, runtime) {
  const names = [...Object.keys(values), ...Object.keys(secrets).map((name) => `${name}-file`)];
  const other = names.find((name) => FLAGS[name]?.only && runtime && FLAGS[name].only !== runtime);
  if (other) throw new Refusal(`--${other} is for --runtime ${FLAGS[other]?.only}, and this is for ${runtime}`);
}

/**
 * Whoever gives a password or a certificate expects it to be in use.
 * @param {Answers} flags @param {import('./answer.mjs').Values} values those of the run before included
 */
function rejectIneffective(flags, values) {
  const given = (/** @type {string[]} */ ...names) =>
    names.find((name) => flags.values[name] !== undefined || flags.secrets[name.replace(/-file$/, '')] !== undefined);
  const security = text(values, 'kafka-security') ?? 'PLAINTEXT';
  const user = given('kafka-user', 'kafka-password-file');
  const client = given('kafka-token-url', 'kafka-client-id', 'kafka-client-secret-file', 'kafka-scope');
  const sasl = given('kafka-mechanism') ?? user ?? client;
  if (sasl && !usesSasl(values)) throw new Refusal(`--${sasl} needs --kafka-security SASL_SSL or SASL_PLAINTEXT`);
  if (given('kafka-ca') && !security.endsWith('SSL'))
    throw new Refusal('--kafka-ca needs --kafka-security SSL or SASL_SSL');
  if (given('github-app-key-file') && !list(values, 'set').some((pair) => nameIn(pair) === 'GITHUB_APP_ID'))
    throw new Refusal('--github-app-key-file needs --set GITHUB_APP_ID=ID');
  const byToken = values['kafka-mechanism'] === 'OAUTHBEARER';
  if (byToken ? user : client)
    throw new Refusal(`--${byToken ? user : client} is not for --kafka-mechanism ${values['kafka-mechanism']}`);
}

/** @param {Answers} answers @param {import('./secret.mjs').Secrets} all @param {string} out */
function report(answers, all, out) {
  const { variables, secrets } = edgeSettings(answers, all);
  say('Variables of the edge');
  for (const [name, value] of Object.entries(variables)) say(`  ${name}=${value}`);
  say(`Secrets of the edge, in ${out}/secrets.json and not shown here\n  ${Object.keys(secrets).join(', ')}`);
  for (const provider of answers.providers) {
    say(`To be registered at ${provider.id}`);
    for (const { field, address } of addressesOf(answers, provider)) say(`  ${field}: ${address}`);
  }
  say(`Next: ${out}/NEXT-STEPS.md`);
  if (!isSpin(answers))
    for (const [name, value] of Object.entries({ ...variables, ...secrets }))
      if (Buffer.byteLength(value) > MOST_BYTES)
        warn(`${name} has more than 5 KB, the most that a Worker's variable may have`);
  for (const { id, values } of answers.providers)
    if (!text(values, 'client-id'))
      warn(`${id} is left out until it has a --client-id; ${out}/register.md says what to register`);
  for (const { id, preset } of registered(answers))
    if (!hasCredential(all, preset, id))
      warn(`${id} lacks its client secret: --provider ${preset} … --client-secret-file FILE`);
  const kafka = kafkaSecret(answers.values);
  if (kafka && !all[kafka.setting]) warn(`the bridge lacks its secret for Kafka: --${kafka.answer}-file FILE`);
  if (answers.values['cross-site'] === undefined)
    for (const page of otherSites(answers.values))
      warn(`${page} may be on another site than the edge: then the widget works there with --cross-site only`);
}

/** @param {import('./secret.mjs').Secrets} earlier @param {{ force: boolean, rotate: string | undefined }} how */
function reportKeys(earlier, { force, rotate }) {
  const ring = `${rotate?.toUpperCase()}_KEYS`;
  if (force) warn('new keys: deploy edge and bridge together; all users are signed out');
  else if (rotate && earlier[ring]) {
    const { step } = nextStep(earlier[ring]);
    const wait =
      step === 2 && rotate === 'session' ? 'SESSION_HOURS after that' : 'when no instance has the ring of before';
    const next = step === 3 ? 'that was the last one' : `take the next one ${wait}`;
    warn(`${ring}: step ${step} of 3 (docs/configuration.md, Key rings). Deploy it everywhere; ${next}`);
  } else warn('keys are as before; --force makes new ones, and --rotate replaces them step by step');
}
