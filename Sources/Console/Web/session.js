// Who is signed in. The token is in memory; in sessionStorage only if the user asks.

const KEY = "device-registry-token";

class Session extends EventTarget {
  token = null;
  /** `{client, subject, expires}`, for display only: the service verifies the token. */
  claims = null;
  isKept = false;
  #renewal = null;

  /** Takes a token from the address (`#token=`), which it removes at once, or from this tab's storage. */
  start() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    const given = fragment.get("token");
    if (given !== null) history.replaceState(null, "", location.pathname);
    let kept = null;
    try { kept = sessionStorage.getItem(KEY); } catch { /* Storage is off. */ }
    const token = given ?? kept;
    if (token) this.signIn(token, { keep: kept !== null && !given });
  }

  /** Throws an error with a text for the user if it is not a token. */
  signIn(token, { keep = false } = {}) {
    const claims = readClaims(token.trim());
    // Another client's session must not show what this one has loaded.
    const isOther = this.claims && this.claims.client !== claims.client;
    this.token = token.trim();
    this.claims = claims;
    this.isKept = keep;
    try {
      if (keep) sessionStorage.setItem(KEY, this.token);
      else sessionStorage.removeItem(KEY);
    } catch { /* Storage is off. */ }
    this.dispatchEvent(new CustomEvent("signed-in", { detail: { isOther } }));
    // What one client asked must not be done to another.
    if (isOther) this.#renewal?.reject(new Error("Someone else has signed in."));
    else this.#renewal?.resolve();
    this.#renewal = null;
  }

  signOut() {
    this.token = null;
    this.claims = null;
    try { sessionStorage.removeItem(KEY); } catch { /* Storage is off. */ }
    location.hash = "";
    location.reload();
  }

  /** Waits until the same client has signed in again. Throws an error if it is another. */
  renew(reason) {
    if (!this.#renewal) {
      this.#renewal = Promise.withResolvers?.() ?? withResolvers();
      this.#renewal.promise.catch(() => {});
      this.dispatchEvent(new CustomEvent("ended", { detail: { reason } }));
    }
    return this.#renewal.promise;
  }
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

export function readClaims(token) {
  const parts = token.split(".");
  let claims;
  try {
    const bytes = Uint8Array.from(atob(parts[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    claims = JSON.parse(new TextDecoder().decode(bytes));
  } catch { /* Below. */ }
  if (parts.length !== 3 || !claims) throw new Error("This is not a token: a token is three parts with dots between them.");
  return {
    client: String(claims.client_id ?? claims.sub ?? ""), subject: String(claims.sub ?? ""), nonce: claims.nonce,
    issuer: claims.iss, audience: claims.aud, expires: Number(claims.exp) * 1000,
  };
}

export const session = new Session();
