// Owns: the types of afunix/addon.

/**
 * Loads the compiled addon from this file, and from nowhere else. To be called before anything
 * requires `afunix`; it is for this thread. The environment variable `AFUNIX_ADDON` does the same.
 *
 * @param file - a relative path is resolved in the current folder
 * @throws ERR_AFUNIX_BINDING: the addon is loaded already
 */
export declare function useAddon(file: string | URL): void;
