// The former name of path.mjs, for imports that have not moved yet.
export * from './path.mjs';
