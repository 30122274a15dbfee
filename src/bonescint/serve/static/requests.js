// Requests to the server that served the page, and to no other, with a token where it asks for one.

const TOKEN = "bonescint-token";

/** What the server refused, in its own words. */
export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Keep a token until the tab is closed. */
export function keepToken(token) { sessionStorage.setItem(TOKEN, token); }

/** Ask the server; an answer that is an error is thrown as its one line. */
export async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers });
  } catch {
    throw new ServiceError(0, "The server does not answer. Try again.");
  }
  if (response.ok) return response;
  let told = {};
  try { told = await response.json(); } catch { /* a proxy's own page */ }
  throw new ServiceError(response.status, told.detail ?? "The server failed.");
}

/** Send files to be classified, by their places in the folders that were dropped. */
export async function upload(files) {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.droppedAs ?? file.name);
  return (await ask("/studies", { method: "POST", body })).json();
}
