// NEXT-STEPS.md: what to do with the files, in which order, with the names of this deployment.

import { text } from './answer.mjs';
import { outFlag } from './register.mjs';
import { isSpin } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */

/** Makes the manifest to deploy: a copy, so that it can be made again and Git sees no change. @param {string} out */
export const manifestCommand = (out) => `cat wrangler.toml ${out}/vars.toml >wrangler.deploy.toml`;

/** A deployment keeps the secrets that secrets.json no longer has. @param {Answers} answers */
function endSecrets({ dropped }) {
  if (!dropped.secrets.length) return [];
  const lines = dropped.secrets.map((name) => `        npx wrangler secret delete ${name}`);
  return ['', '    Then delete the secrets that are no longer in use, unless they are gone:', '', ...lines];
}

/** How services get the app's own tokens. @param {Answers} answers @param {string} out */
function githubService({ providers }, out) {
  const github = providers.find(({ id }) => id === 'github');
  const id = github && text(github.values, 'app-number');
  if (!id) return '';
  return `
A service with an \`installation\` needs the GitHub App's private key. Sign-in does not. If there is such a service:

    ./scripts/configure --yes${outFlag(out)} --set GITHUB_APP_ID=${id} --github-app-key-file ${out}/github-app-key.pem
`;
}

/** @param {Answers} answers @param {string} out */
export function nextSteps(answers, out) {
  const check = `./scripts/configure --check${outFlag(out)}`;
  const deploy = isSpin(answers)
    ? [
        `Make Redis's user: \`redis-cli -u ADDRESS_OF_AN_ADMIN <${out}/redis.acl\`. It must answer OK twice. Before that, Redis needs the settings of docs/deploy-spin.md: without \`aclfile\` the user is gone after a restart.`,
        'Deploy the edge:',
        '',
        '        spin build',
        `        set -a; . ${out}/spin.env; set +a`,
        '        spin up --listen 0.0.0.0:3000',
        '',
        `    On a hosted Spin, in place of \`spin up\`: \`sh ${out}/spin-hosted.sh aka\` or \`… cloud\`. On SpinKube:`,
        `    \`${out}/spinapp.yaml\`, which begins with the commands.`,
      ]
    : [
        'Deploy the edge:',
        '',
        `        ${manifestCommand(out)}`,
        `        npx wrangler secret bulk ${out}/secrets.json`,
        '        npx wrangler deploy --config wrangler.deploy.toml',
        ...endSecrets(answers),
      ];
  const steps = [
    `Register the addresses of \`${out}/register.md\` at the identity providers.`,
    `If a client id or secret is still missing, run \`./scripts/configure${outFlag(out)}\` again: it asks for it. Keys stay as they are.`,
    `Check: \`${check}\``,
    `Run the bridge with \`${out}/bridge.env\` where it reaches Kafka, behind TLS at ${answers.values['bridge-url']}. ` +
      `On Kubernetes: \`${out}/bridge-values.yaml\`, which begins with the commands.`,
  ];
  const numbered = [...steps, ...deploy.slice(0, isSpin(answers) ? 2 : 1)].map(
    (step, index) => `${index + 1}. ${step}`,
  );
  const commands = deploy.slice(isSpin(answers) ? 2 : 1);
  return `# Next steps

${numbered.join('\n')}
${commands.join('\n')}
${githubService(answers, out)}
docs/deploy-${isSpin(answers) ? 'spin' : 'workers'}.md explains each step.

Keep this folder where only operators can read it, or move its files into a store for secrets. \`secrets.json\` has
the keys that seal sessions: nobody else has a copy. No file of it belongs into Git, a ticket or an image.
`;
}
