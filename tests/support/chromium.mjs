// How all browser tests launch Debian's Chromium.

export const LAUNCH_OPTIONS = {
  executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
  // Without these Chromium sends requests of its own, many times a minute. `--no-sandbox` is needed by root.
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};
