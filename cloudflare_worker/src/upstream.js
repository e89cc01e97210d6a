// Foreign servers: asked politely, followed by hand, with every hop checked.

import { check, refused } from "./addresses.js";
import { Problem } from "./errors.js";
import { resolve } from "./resolve.js";

const MAX_REDIRECTS = 5;
// In which an answer's header has to come, and each part of a playlist.
const PATIENCE_MS = 30_000;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const ALWAYS = { Accept: "*/*", "Accept-Encoding": "identity", "User-Agent": "Reelkeep" };

/** An answer, and where the last redirect led. Whoever has one ends it: by reading it to its end, or by `abort`. */
export class Upstream {
  #controller;

  constructor(response, url, controller) {
    this.url = url;
    this.status = response.status;
    this.headers = response.headers;
    this.body = response.body;
    this.#controller = controller;
  }

  /** Breaks the connection off; harmless to repeat. */
  abort() {
    this.#controller.abort();
  }
}

/**
 * Asks `url` and follows redirects, for as long as the viewer is there (an AbortSignal).
 * Throws a Problem: address_refused, too_many_redirects, upstream_….
 */
export async function open(url, { viewer, policy, method = "GET", headers = {} }) {
  let current = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    check(current, policy);
    const upstream = await ask(current, { viewer, method, headers });
    const location = REDIRECTS.has(upstream.status) ? upstream.headers.get("Location") : null;
    if (!location) return upstream;
    upstream.abort();
    current = target(current, location);
  }
  check(current, policy);
  throw new Problem(502, "too_many_redirects", "The source redirects too many times.");
}

/** One request, not followed. The answer's header has to come within `patience` milliseconds. */
export async function ask(url, { viewer, method = "GET", headers = {}, patience = PATIENCE_MS, cf }) {
  const controller = new AbortController();
  const answer = fetch(url.split("#", 1)[0], {
    method,
    headers: { ...ALWAYS, ...headers },
    redirect: "manual",
    signal: AbortSignal.any([controller.signal, viewer]),
    ...(cf && { cf }),
  });
  const unreachable = new Problem(502, "upstream_unreachable", "The source can't be reached.");
  return new Upstream(await inTime(answer, controller, unreachable, patience), url, controller);
}

/** The whole body after `head`. Throws a Problem: upstream_…, and `tooLarge` for more than `most` bytes. */
export async function readAll(upstream, head, most, tooLarge) {
  const chunks = [head];
  let size = head.byteLength;
  const reader = upstream.body?.getReader();
  for (;;) {
    if (size > most) {
      upstream.abort();
      throw tooLarge;
    }
    const { value, done } = reader ? await nextPiece(reader, upstream) : { done: true };
    if (done) return joined(chunks, size);
    chunks.push(value);
    size += value.byteLength;
  }
}

/** What a reader of an upstream's body reads next. Throws a Problem. */
export async function nextPiece(reader, upstream, view) {
  const cut = new Problem(502, "upstream_unreachable", "The source stopped in the middle of its playlist.");
  return inTime(view ? reader.read(view) : reader.read(), upstream, cut, PATIENCE_MS);
}

/** The promise's value. When it takes too long, `what` is aborted. Throws a Problem: upstream_timeout or `failed`. */
async function inTime(promise, what, failed, patience) {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    what.abort();
  }, patience);
  try {
    return await promise;
  } catch {
    // What the platform says names hosts and addresses: not for viewers.
    throw late ? new Problem(504, "upstream_timeout", "The source took too long to answer.") : failed;
  } finally {
    clearTimeout(timer);
  }
}

function target(base, location) {
  try {
    return resolve(base, location);
  } catch {
    throw refused();
  }
}

function joined(chunks, size) {
  const whole = new Uint8Array(size);
  let position = 0;
  for (const chunk of chunks) {
    whole.set(chunk, position);
    position += chunk.byteLength;
  }
  return whole;
}
