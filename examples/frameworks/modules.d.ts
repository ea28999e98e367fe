// The compilers of the apps, which are only here once the packages of this folder are installed.

declare module 'vue/compiler-sfc';
declare module 'svelte/compiler';
