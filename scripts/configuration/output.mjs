// The files below the output folder, each with what to do with it. All of them are for their owner's eyes only.

import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { encodeAnswers } from './answer.mjs';
import { comment, envLines, tomlLines } from './format.mjs';
import { outFlag, registrationFiles } from './register.mjs';
import { bridgeSettings, edgeSettings, isSpin, originOf, redisUser } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./secret.mjs').Secrets} Secrets */

/** Every file that a run may write. Those of the run before that this one does not need are removed. */
const FILES = [
  'answers.json',
  'secrets.json',
  'vars.toml',
  'spin.env',
  'redis.acl',
  'bridge.env',
  'register.md',
  'entra-app.json',
  'register-entra.sh',
  'github-app-manifest.json',
  'github-app.html',
  'NEXT-STEPS.md',
  '.gitignore',
];

/** @param {string} out @param {string} name */
export const readOutput = (out, name) =>
  existsSync(join(out, name)) ? readFileSync(join(out, name), 'utf8') : undefined;

/**
 * @param {Answers} answers @param {Secrets} all @param {string} out
 * @returns {Record<string, string>} texts by file name
 */
export function outputFiles(answers, all, out) {
  const { variables, secrets } = edgeSettings(answers, all);
  const spin = isSpin(answers);
  return {
    'answers.json': encodeAnswers(answers),
    'secrets.json': `${JSON.stringify(secrets, undefined, 2)}\n`,
    ...(spin
      ? { 'spin.env': spinEnv(variables, secrets, out), 'redis.acl': redisAcl(answers, all) }
      : { 'vars.toml': varsToml(answers, variables, out) }),
    'bridge.env': bridgeEnv(answers, all),
    ...registrationFiles(answers, out),
    'NEXT-STEPS.md': nextSteps(answers, out),
    '.gitignore': '*\n',
  };
}

/** @param {Record<string, string>} files @param {string} out */
export function write(files, out) {
  mkdirSync(out, { recursive: true, mode: 0o700 });
  chmodSync(out, 0o700);
  for (const [name, text] of Object.entries(files)) {
    const next = join(out, `.${name}.next`);
    // A mode counts for new files only.
    rmSync(next, { force: true });
    writeFileSync(next, text, { mode: 0o600 });
    renameSync(next, join(out, name));
  }
  for (const name of FILES) if (!(name in files)) rmSync(join(out, name), { force: true });
}

/** @param {Answers} answers @param {Record<string, string>} variables @param {string} out */
function varsToml(answers, variables, out) {
  return lines(
    comment(
      "Variables of the Worker, and its domain. Put this at the end of wrangler.toml, in place of an earlier run's:",
      '',
      `  cat ${out}/vars.toml >>wrangler.toml`,
      '',
      'Nothing here is secret.',
    ),
    ['', '[[routes]]', ...tomlLines({ pattern: originOf(answers).slice('https://'.length) }), 'custom_domain = true'],
    ['', '[vars]', ...tomlLines(variables)],
  );
}

/** @param {Record<string, string>} variables @param {Record<string, string>} secrets @param {string} out */
function spinEnv(variables, secrets, out) {
  const prefix = 'SPIN_VARIABLE_';
  return lines(
    comment(
      'Variables of the Spin component. SECRET: it holds keys.',
      '',
      `  set -a; . ${out}/spin.env; set +a; spin up --listen 0.0.0.0:3000`,
      '',
      "A hosted Spin takes them at the deployment, in lower case and without the prefix, by --variable name='value'.",
    ),
    ['', ...envLines(variables, prefix)],
    ['', ...envLines(secrets, prefix)],
  );
}

/** @param {Answers} answers @param {Secrets} all */
function redisAcl(answers, all) {
  // No comment: redis-cli reads it as it is.
  return lines([
    `ACL SETUSER ${redisUser(answers)} on >${all.REDIS_PASSWORD} ~causeway:* &causeway:* +@read +@write +@pubsub +@scripting +@connection +time -@dangerous`,
  ]);
}

/** @param {Answers} answers @param {Secrets} all */
function bridgeEnv(answers, all) {
  return lines(
    comment(
      "The kafka-bridge's environment. SECRET: it holds keys. For a systemd unit (EnvironmentFile), compose (env_file)",
      "or a shell. Docker's --env-file takes quotes as parts of values: remove them there.",
    ),
    ['', ...envLines(bridgeSettings(answers, all))],
  );
}

/** @param {string[][]} parts */
const lines = (...parts) => `${parts.flat().join('\n')}\n`;

/** @param {Answers} answers @param {string} out */
export function nextSteps(answers, out) {
  const check = `./scripts/configure --check${outFlag(out)}`;
  const deploy = isSpin(answers)
    ? [
        `Make Redis's user: \`redis-cli -u ADDRESS_OF_AN_ADMIN <${out}/redis.acl\`. docs/deploy-spin.md has other settings.`,
        'Deploy the edge:',
        '',
        '        spin build',
        `        set -a; . ${out}/spin.env; set +a`,
        '        spin up --listen 0.0.0.0:3000',
      ]
    : [
        'Deploy the edge:',
        '',
        `        cat ${out}/vars.toml >>wrangler.toml`,
        `        npx wrangler secret bulk ${out}/secrets.json`,
        '        npx wrangler deploy',
      ];
  const steps = [
    `Register the addresses of \`${out}/register.md\` at the identity providers.`,
    'If a client id or secret is still missing, run `./scripts/configure` again with it. Keys stay as they are.',
    `Check: \`${check}\``,
    `Run the bridge with \`${out}/bridge.env\` where it reaches Kafka, behind TLS at ${answers.values['bridge-url']}.`,
  ];
  const numbered = [...steps, ...deploy.slice(0, isSpin(answers) ? 2 : 1)].map(
    (step, index) => `${index + 1}. ${step}`,
  );
  const commands = deploy.slice(isSpin(answers) ? 2 : 1);
  return `# Next steps

${numbered.join('\n')}
${commands.join('\n')}

docs/deploy-${isSpin(answers) ? 'spin' : 'workers'}.md explains each step.

Keep this folder where only operators can read it, or move its files into a store for secrets. \`secrets.json\` has the only
copy of the keys that seal sessions. No file of it belongs into Git, a ticket or an image.
`;
}
