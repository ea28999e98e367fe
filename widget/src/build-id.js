// Which build of the widget this is. The build replaces it by a hash of all sources.

export const BUILD_ID = 'source';
