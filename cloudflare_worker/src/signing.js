// Signed `/proxy` URLs, as `storage_app/playback/signing.py` writes and reads them; its docstring has the format.
// `tests/vectors/signing.json` holds both to it.

const EXACT = "exact";
const DIRECTORY = "directory";

/** Characters (Unicode code points) that a signed upstream URL may have. */
export const MAX_URL = 4096;

// A line break in a URL would make one signed text of two meanings; a lone surrogate has no UTF-8.
const UNSIGNABLE = /[\x00-\x20\x7f\ud800-\udfff]/gu;
const NOT_PRINTABLE = /[^\x21-\x7e]/;
const NEEDS_ENCODING = /[^A-Za-z0-9_.~-]/;
const ENCODED_OTHERWISE = /[!'()*]/g;
const EXPIRES = /^(?:0|[1-9][0-9]{0,11})$/;
const PARTS = /^(https?:\/\/[^/?#\\]+\/(?:[^?#\\]*\/)?)([^/?#\\]*)(?![^?#])/i;
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}[;/]/i;
const PLAIN_NAME = /^(?:[A-Za-z0-9_-][A-Za-z0-9_.~-]*)?$/;
// What a server could take for a dot in front, or anywhere for a slash or for one more encoding; the look-alikes
// are those that Windows and Unicode's compatibility forms turn into one.
const LEAVES =
  /^[ .;\u2024\u2025\u2026\ufe52\uff0e]|[\x00-\x1f\x7f/\\%\u00a5\u20a9\u2044\u2215\u2216\u29f5\u29f8\ufe68\ufe6a\uff05\uff0f\uff3c]/;

const utf8 = new TextEncoder();

/** This URL isn't signed by us, or no longer. `status` is that of the answer; `error` a word for programs. */
export class Refused extends Error {
  constructor(status, error, text) {
    super(text);
    this.status = status;
    this.error = error;
  }
}

/** A signing key. */
export class Key {
  #secret;
  #kid;
  #imported;

  constructor(secret) {
    this.#secret = secret;
  }

  /** The first 8 hex digits of SHA-256("reelkeep kid:" + secret). */
  kid() {
    this.#kid ??= sha256(`reelkeep kid:${this.#secret}`).then((digest) => hex(digest).slice(0, 8));
    return this.#kid;
  }

  /** The signature of one scope, until `expires` (seconds since 1970). */
  async sign(kind, expires, scope, variables = "") {
    this.#imported ??= hmacKey(this.#secret);
    const lines = ["v1", kind, String(expires), scope];
    if (variables) lines.push(variables);
    const digest = await crypto.subtle.sign("HMAC", await this.#imported, utf8.encode(lines.join("\n")));
    return base64url(digest);
  }
}

/** The key that signs, and older ones that are still good. Throws an Error without a key. */
export class Keyring {
  #keys;

  constructor(current, older = []) {
    if (!current || !older.every(Boolean)) throw new Error("A signing key must not be empty.");
    this.current = new Key(current);
    this.#keys = [this.current, ...older.map((secret) => new Key(secret))];
  }

  /**
   * What the query parameters of `/proxy` (a URLSearchParams) allow at `now` (seconds since 1970).
   * Of a parameter that is there twice the last counts, as in Django. Throws Refused: 403, 410 for what has expired, 400.
   */
  async verify(query, now) {
    const value = (name) => query.getAll(name).at(-1) ?? "";
    const [url, kid, sig, exp] = ["url", "kid", "sig", "exp"].map(value);
    if (!url) throw new Refused(400, "bad_request", "The query parameter url is missing.");
    if (!sig || !kid || !exp) throw new Refused(403, "unsigned", "This URL is not signed. Ask this site for a link.");
    if (longerThan(url, MAX_URL)) {
      throw new Refused(400, "bad_request", `The query parameter url is longer than ${MAX_URL} characters.`);
    }
    const grant = await this.#grant(url, kid, sig, exp, value("vars"));
    if (grant === null) throw new Refused(403, "bad_signature", "The signature of this URL is not ours.");
    if (grant.expires <= now) throw new Refused(410, "expired", "This link has expired. Ask this site for a new one.");
    return grant;
  }

  async #grant(url, kid, sig, exp, variables) {
    const key = await this.#named(kid);
    if (key === undefined || !EXPIRES.test(exp) || url.search(UNSIGNABLE) >= 0 || NOT_PRINTABLE.test(variables)) return null;
    const expires = Number(exp);
    let good = same(await key.sign(EXACT, expires, url, variables), sig);
    const folder = variables ? null : directory(url);
    if (folder !== null) good = same(await key.sign(DIRECTORY, expires, folder), sig) || good;
    return good ? { url, expires, variables } : null;
  }

  async #named(kid) {
    const kids = await Promise.all(this.#keys.map((key) => key.kid()));
    return this.#keys[kids.indexOf(kid)];
  }
}

/** Writes the query strings of links that all expire at the same time. Signatures of directories are kept. */
export class Signer {
  #within = new Map();

  /** `key` is a Key, `expires` in seconds since 1970. */
  constructor(key, expires) {
    this.key = key;
    this.expires = expires;
  }

  /** The query for this very URL. Spaces and control characters in it are percent-encoded first. */
  async exact(url, variables = "") {
    const signable = url.replace(UNSIGNABLE, (mark) => encodeURIComponent(mark.toWellFormed()));
    const before = await this.#head(EXACT, signable, variables);
    const middle = variables ? `&vars=${percentEncoded(variables)}` : "";
    return `${before}${middle}&url=${percentEncoded(signable)}`;
  }

  /** The query for a URL that a playlist leads to: signed by its directory where it has one. */
  async child(url) {
    const folder = directory(url);
    if (folder === null || url.search(UNSIGNABLE) >= 0) return this.exact(url);
    return (this.#within.get(folder) ?? (await this.within(folder))) + percentEncoded(url.slice(folder.length));
  }

  /** The query for what lies directly in `folder` (as `directory` gives it), up to its percent-encoded name. */
  async within(folder) {
    let query = this.#within.get(folder);
    if (query === undefined) {
      query = `${await this.#head(DIRECTORY, folder)}&url=${percentEncoded(folder)}`;
      this.#within.set(folder, query);
    }
    return query;
  }

  async #head(kind, scope, variables = "") {
    const [kid, signature] = await Promise.all([this.key.kid(), this.key.sign(kind, this.expires, scope, variables)]);
    return `exp=${this.expires}&kid=${kid}&sig=${signature}`;
  }
}

/** `url` up to the last slash of its path; null when it has no path, or one that could lead out of a directory. */
export function directory(url) {
  const parts = PARTS.exec(url);
  return parts === null || !stays(parts[2]) || DOT_SEGMENT.test(parts[1]) ? null : parts[1];
}

/** `text` with everything but RFC 3986's unreserved characters percent-encoded; Python's `quote(text, safe="")`. */
export function percentEncoded(text) {
  if (!NEEDS_ENCODING.test(text)) return text;
  const encoded = encodeURIComponent(text);
  if (encoded.search(ENCODED_OTHERWISE) < 0) return encoded;
  return encoded.replace(ENCODED_OTHERWISE, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The key that signs where only HF_FILE_SALT is set: `archive_site/playback_keys.py`. "" without a secret. */
export async function derived(secret) {
  if (!secret) return "";
  return hex(await crypto.subtle.sign("HMAC", await hmacKey(secret), utf8.encode("reelkeep proxy signing v1")));
}

/** Whether no server could take this last part of a path for something outside of its directory. */
function stays(name) {
  if (PLAIN_NAME.test(name)) return true;
  try {
    return !LEAVES.test(decodeURIComponent(name));
  } catch {
    return false;
  }
}

function longerThan(text, most) {
  return text.length > most && (text.length > 2 * most || [...text].length > most);
}

/** Compares without telling by the time it takes where they differ. */
function same(one, other) {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index++) difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
  return difference === 0;
}

function hmacKey(secret) {
  return crypto.subtle.importKey("raw", utf8.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

function sha256(text) {
  return crypto.subtle.digest("SHA-256", utf8.encode(text));
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64url(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
