// What is registered at identity providers: the addresses, an application of Entra ID, and a GitHub App's manifest.

import { DEFAULT_OUT, list, text } from './answer.mjs';
import { addressOf, presetOf } from './preset.mjs';
import { originOf } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./answer.mjs').Provider} Provider */

/** Microsoft Graph, and its delegated permission User.Read. */
const GRAPH = '00000003-0000-0000-c000-000000000000';
const USER_READ = 'e1fe6dd8-ba31-4d61-89e7-88639da4683d';

/**
 * The addresses of a provider, each with the name of its field there.
 * @param {Answers} answers @param {Provider} provider
 */
export const addressesOf = (answers, { preset, id }) =>
  (presetOf(preset)?.register ?? []).map(([field, path]) => ({
    field,
    address: addressOf(originOf(answers), id, path),
  }));

/** @param {Answers} answers @param {string} out @returns {Record<string, string>} texts by file name */
export function registrationFiles(answers, out) {
  const provider = (/** @type {string} */ id) => answers.providers.find((it) => it.id === id);
  const [entra, github] = [provider('entra'), provider('github')];
  return {
    'register.md': page(answers),
    ...(entra && {
      'entra-app.json': json(entraApp(answers, entra)),
      'register-entra.sh': entraScript(answers, out),
    }),
    ...(github && {
      'github-app-manifest.json': json(githubManifest(answers)),
      'github-app.html': githubForm(answers, github, out),
    }),
  };
}

/** @param {string} out */
export const outFlag = (out) => (out === DEFAULT_OUT ? '' : ` --out ${out}`);

/** @param {unknown} value */
const json = (value) => `${JSON.stringify(value, undefined, 2)}\n`;

/** @param {Answers} answers */
function page(answers) {
  const sections = answers.providers.map((provider) => {
    const title = presetOf(provider.preset)?.title ?? provider.preset;
    const anchor = title.toLowerCase().replaceAll(' ', '-');
    const rows = addressesOf(answers, provider).map(({ field, address }) => `| ${field} | \`${address}\` |`);
    const more = { entra: ENTRA_HINT, github: GITHUB_HINT }[provider.preset] ?? [];
    return [
      `## ${title}${provider.id === provider.preset ? '' : ` (${provider.id})`}`,
      '',
      `The steps are in docs/providers.md#${anchor}.`,
      '',
      '| field | value |',
      '|---|---|',
      ...rows,
      '',
      ...more,
    ].join('\n');
  });
  return `# What to register at the identity providers\n\nNothing here is secret.\n\n${sections.join('\n')}`;
}

const ENTRA_HINT = [
  'With the Azure CLI, instead of by hand: read `register-entra.sh`, then run it once with `bash`. It registers',
  '`entra-app.json` and puts a client secret into a file beside it.',
  '',
];
const GITHUB_HINT = [
  'As a GitHub App, instead of by hand: open `github-app.html` in a browser and press the button. The page says what',
  'follows.',
  '',
];

/** An `application` of Microsoft Graph. @param {Answers} answers @param {Provider} provider */
export function entraApp(answers, { id, values }) {
  const address = (/** @type {import('./preset.mjs').Path} */ path) => addressOf(originOf(answers), id, path);
  const audiences = { organizations: 'AzureADMultipleOrgs', common: 'AzureADandPersonalMicrosoftAccount' };
  const audience = audiences[/** @type {keyof typeof audiences} */ (text(values, 'tenant'))] ?? 'AzureADMyOrg';
  return {
    displayName: `Causeway (${text(answers.values, 'domain')})`,
    signInAudience: audience,
    // Entra requires this version of applications for personal accounts.
    ...(audience === audiences.common && { api: { requestedAccessTokenVersion: 2 } }),
    web: { redirectUris: [address('callback'), address('logged-out')], logoutUrl: address('frontchannel-logout') },
    requiredResourceAccess: [{ resourceAppId: GRAPH, resourceAccess: [{ id: USER_READ, type: 'Scope' }] }],
    // Front-channel logout names the session by this claim.
    optionalClaims: { idToken: [{ name: 'sid', essential: false }] },
    ...(list(values, 'group').length && { groupMembershipClaims: 'SecurityGroup' }),
  };
}

/** @param {Answers} answers @param {string} out */
function entraScript(answers, out) {
  const entra = answers.providers.find(({ id }) => id === 'entra');
  const tenant = text(entra?.values ?? {}, 'tenant') ?? '$(az account show --query tenantId --output tsv)';
  return `#!/usr/bin/env bash
# Registers the edge in Entra ID with the Azure CLI (az login, as a user who may register applications), and puts a client
# secret of a year into entra-client-secret. Run it once: each run registers another application.
set -euo pipefail
umask 077
cd "$(dirname "\${BASH_SOURCE[0]}")"
client_id=$(az rest --method POST --uri https://graph.microsoft.com/v1.0/applications \\
  --headers Content-Type=application/json --body @entra-app.json --query appId --output tsv)
az ad sp create --id "$client_id" --output none
az ad app credential reset --id "$client_id" --append --display-name causeway --years 1 \\
  --query password --output tsv >entra-client-secret
echo "Registered. Now run:"
echo "  ./scripts/configure --yes${outFlag(out)} --provider entra --client-id $client_id \\\\"
echo "    --tenant ${tenant} --client-secret-file ${out}/entra-client-secret"
`;
}

/** @param {Answers} answers */
export function githubManifest(answers) {
  const origin = originOf(answers);
  return {
    name: `Causeway ${text(answers.values, 'domain')}`.slice(0, 34).trim(),
    url: origin,
    hook_attributes: { url: addressOf(origin, 'github', 'webhook'), active: true },
    // Only its address is of use: it carries the code.
    redirect_url: `${origin}/`,
    callback_urls: [addressOf(origin, 'github', 'callback')],
    public: false,
    // A code of an installation has no state, so the edge does not take it.
    request_oauth_on_install: false,
    default_permissions: {},
    default_events: [],
  };
}

/** @param {Answers} answers @param {Provider} provider @param {string} out */
function githubForm(answers, { values }, out) {
  const organization = text(values, 'organization');
  const action = `https://github.com/${organization ? `organizations/${organization}/` : ''}settings/apps/new`;
  const escaped = JSON.stringify(githubManifest(answers))
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Register a GitHub App for Causeway</title>
<h1>Register a GitHub App for Causeway</h1>
<form action="${action}" method="post">
<input type="hidden" name="manifest" value="${escaped}">
<button>Register at GitHub</button>
</form>
<p>GitHub then opens ${originOf(answers)}/?code=… Your edge need not run yet. Copy the code from the address, and exchange it
within an hour. The file holds secrets.</p>
<pre>
(umask 077; curl -fsS -X POST -H 'Accept: application/vnd.github+json' -o github-app.json \\
  https://api.github.com/app-manifests/CODE/conversions)
./scripts/configure --yes${outFlag(out)} --provider github --github-app-file github-app.json
rm github-app.json
</pre>
</html>
`;
}
