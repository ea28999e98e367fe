import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['**/dist/', '**/build/', '**/target/', '**/node_modules/'] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-implicit-coercion': 'error',
      // Prettier wraps code, but neither comments nor strings.
      'max-len': ['error', { code: 120, ignoreUrls: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }],
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'Data must never become markup; build elements.' },
        { property: 'outerHTML', message: 'Data must never become markup; build elements.' },
        { property: 'insertAdjacentHTML', message: 'Data must never become markup; build elements.' },
      ],
    },
  },
  { files: ['**/*.mjs', '*.js'], languageOptions: { globals: globals.node } },
  { files: ['widget/**/*.js', 'examples/**/*.js', 'examples/**/*.jsx'], languageOptions: { globals: globals.browser } },
  { files: ['examples/**/*.jsx'], languageOptions: { parserOptions: { ecmaFeatures: { jsx: true } } } },
  {
    files: ['edge/workers/js/**'],
    languageOptions: { globals: { ...globals.serviceworker, IdentityTransformStream: false, HTMLRewriter: false } },
  },
  // Functions passed to `page.evaluate` run in the browser.
  {
    files: ['widget/test/**', 'tests/**', 'scripts/film/**'],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
  },
];
