// Requests to the server that served the page, and to no other.

const CSRF = document.querySelector("meta[name=csrf]")?.content ?? "";

/** What the server refused, with its word for why. */
export class Refused extends Error {
  constructor(status, problem, message) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

async function answered(response) {
  if (response.ok) return response;
  let told = {};
  try { told = await response.json(); } catch { /* a proxy's own page */ }
  throw new Refused(response.status, told.problem ?? "server", told.message ?? "The server failed.");
}

async function request(path, options) {
  const response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  return answered(response);
}

export async function ask(path) {
  return (await request(path)).json();
}

export async function fetchPixels(token) {
  return (await request(`/api/images/${token}`)).arrayBuffer();
}

export async function tell(path, content, { timeoutMs = 15000 } = {}) {
  const response = await request(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": CSRF },
    body: JSON.stringify(content),
    signal: AbortSignal.timeout(timeoutMs),
  });
  return response.json();
}
