/** Which server is asked, and how. */

/**
 * Without cookies. Throws the answer if it is a refusal.
 * @param {string} url
 * @param {RequestInit} [options]
 */
export const request = async (url, options) => {
  const response = await fetch(url, { credentials: "omit", ...options });
  if (!response.ok) throw response;
  return response;
};

/** Base URL of the server that an address names, or else of this script's. @param {string} address @returns {string} */
export const serverAt = (address) => {
  const { origin } = new URL(import.meta.url);
  try {
    return new URL(address || origin, document.baseURI).href.replace(/\/+$/, "");
  } catch {
    return origin; // no address: as if there were none
  }
};
