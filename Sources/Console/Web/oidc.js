// Signing in with OpenID Connect: authorization code with PKCE (RFC 7636), as a public client.
import { readClaims, session } from "./session.js";
import { settings } from "./sign-in.js";

const STARTED = "device-registry-sign-in";
const CHANNEL = "device-registry-sign-in";
const STARTED_MILLISECONDS = 10 * 60_000;

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const redirectURI = () => new URL(location.pathname, location.href).href;

/** The provider's configuration, whose issuer must be the one of the settings (OpenID Connect Discovery 1.0, section 4.3). */
async function discover(issuer) {
  const answer = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, { credentials: "omit", redirect: "error" });
  const found = await answer.json();
  if (found.issuer !== issuer) throw new Error("The sign-in provider says that it is another issuer than the registry expects. Nothing was sent to it.");
  return found;
}

/** Leaves the page for the provider's. */
export async function startSignIn({ isBeside = false } = {}) {
  const { oidc } = await settings;
  const provider = await discover(oidc.issuer).catch((error) => { throw error.message.startsWith("The sign-in") ? error : new Error("The sign-in provider does not answer."); });
  const started = { state: random(), nonce: random(), verifier: random(), issuer: oidc.issuer, at: Date.now(), isBeside, place: location.hash };
  sessionStorage.setItem(STARTED, JSON.stringify(started));
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(started.verifier)));
  location.assign(`${provider.authorization_endpoint}?${new URLSearchParams({
    response_type: "code", client_id: oidc.client_id, redirect_uri: redirectURI(), scope: "openid", state: started.state, nonce: started.nonce,
    code_challenge: challenge, code_challenge_method: "S256",
  })}`);
}

/**
 * The provider has sent the person back. Returns false in a window that signs another one in. Throws an error with a text for
 * the user.
 */
export async function finishSignIn() {
  const answer = new URLSearchParams(location.search);
  const started = JSON.parse(sessionStorage.getItem(STARTED) ?? "null");
  sessionStorage.removeItem(STARTED);
  history.replaceState(null, "", location.pathname + (started?.place ?? ""));
  const { oidc } = await settings;
  if (!started || !oidc || answer.get("state") !== started.state || Date.now() - started.at > STARTED_MILLISECONDS) {
    throw new Error("This sign-in was not started here, or too long ago. Please sign in again.");
  }
  if (answer.has("error")) throw new Error(`The sign-in provider refused: ${answer.get("error_description") ?? answer.get("error")}`);
  // RFC 9207: whose answer it is.
  if (answer.has("iss") && answer.get("iss") !== started.issuer) throw new Error("The answer came from another sign-in provider. Please sign in again.");
  const provider = await discover(started.issuer);
  const response = await fetch(provider.token_endpoint, {
    method: "POST", credentials: "omit", redirect: "error", headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ grant_type: "authorization_code", code: answer.get("code") ?? "", redirect_uri: redirectURI(), client_id: oidc.client_id, code_verifier: started.verifier }),
  });
  const tokens = await response.json();
  if (!response.ok) throw new Error(`The sign-in provider refused: ${tokens.error_description ?? tokens.error ?? response.status}`);
  const claims = readClaims(tokens.id_token ?? "");
  if (claims.issuer !== started.issuer) throw new Error("The token is of another issuer. Please sign in again.");
  if (claims.nonce !== started.nonce) throw new Error("The token answers another sign-in. Please sign in again.");
  if (![claims.audience].flat().includes(oidc.client_id)) throw new Error("The token is for another program. Please sign in again.");
  // The access token is for the registry's API if it is a JSON Web Token; else the identity token names the client.
  const token = (tokens.access_token ?? "").split(".").length === 3 ? tokens.access_token : tokens.id_token;
  if (started.isBeside) {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage({ token });
    channel.close();
    window.close();
    return false;
  }
  session.signIn(token);
  return true;
}

/** Signs in again in a new window, so that this page stays as it is. */
export function signInBeside() {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }) => {
    channel.close();
    session.signIn(data.token, { keep: session.isKept });
  });
  window.open(`${location.pathname}?beside=1`, "_blank", "noopener,width=520,height=680");
}
