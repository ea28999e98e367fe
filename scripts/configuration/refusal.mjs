/** What the user must change. The message names the flag, the question or the file, and never holds a secret. */
export class Refusal extends Error {}
