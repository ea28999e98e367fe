// The build turns the style sheet into text.
declare module '*.css' {
  const text: string;
  export default text;
}
