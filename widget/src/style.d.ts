// The build turns style sheets into strings.
declare module '*.css' {
  const text: string;
  export default text;
}

/** The build puts a hash of all sources in its place. */
declare const BUILD_ID: string;
