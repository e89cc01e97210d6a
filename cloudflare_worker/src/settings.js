// The Worker's variables and secrets, read once per isolate. README.md lists them.

import { Problem } from "./errors.js";
import { derived, Keyring, Signer } from "./signing.js";

const STEP = 600; // links made within ten minutes are the same link, so that caches and players see one

let known = { of: null, keyring: null };

/** The keys that sign and check links: PROXY_SIGNING_KEY, or what HF_FILE_SALT gives; and the old ones. */
export async function keyringOf(env) {
  const of = JSON.stringify([env.PROXY_SIGNING_KEY, env.HF_FILE_SALT, env.PROXY_SIGNING_KEYS_OLD]);
  if (known.of !== of) {
    const key = env.PROXY_SIGNING_KEY || (await derived(env.HF_FILE_SALT ?? ""));
    if (!key) throw notSetUp("PROXY_SIGNING_KEY");
    const old = (env.PROXY_SIGNING_KEYS_OLD ?? "").split(/[\s,]+/).filter(Boolean);
    known = { of, keyring: new Keyring(key, old) };
  }
  return known.keyring;
}

/** Signs links that are good for PROXY_URL_HOURS (12) from now, rounded up to ten minutes. */
export async function signerOf(env) {
  const hours = Number(env.PROXY_URL_HOURS || 12);
  const expires = Math.ceil((Date.now() / 1000 + hours * 3600) / STEP) * STEP;
  return new Signer((await keyringOf(env)).current, expires);
}

/** What the address policy lets pass although it isn't public: `FETCH_ALLOW_HOSTS`, exact `host:port` pairs. */
export function policyOf(env) {
  const pairs = (env.FETCH_ALLOW_HOSTS ?? "").split(/[\s,]+/).filter(Boolean);
  return { allowed: new Set(pairs.map((pair) => pair.toLowerCase())) };
}

/** `{url, token}` of the archive behind this Worker. Throws a Problem when they aren't set. */
export function storeOf(env) {
  if (!env.STORE_URL) throw notSetUp("STORE_URL");
  if (!env.EDGE_TOKEN) throw notSetUp("EDGE_TOKEN");
  return { url: env.STORE_URL.replace(/\/+$/, ""), token: env.EDGE_TOKEN };
}

function notSetUp(name) {
  const text = `This Worker is not set up: ${name} is missing. Its README says how to set it.`;
  return new Problem(503, "not_set_up", text);
}
