// The build turns style sheets into strings.
declare module '*.css' {
  const text: string;
  export default text;
}
