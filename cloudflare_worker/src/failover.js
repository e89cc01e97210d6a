// Bytes of a file that lies in several places: when one copy fails or is silent, the next goes on at the same byte.

import { Problem } from "./errors.js";
import { contentRange, valueOf } from "./headers.js";
import { ask } from "./upstream.js";

const PIECE = 256 * 1024;
// So much is waited for from a copy that is quick, before it is passed on: fewer, larger pieces cost less time.
const AT_ONCE = 128 * 1024;
const QUICK_MS = 100;
// Without a byte, while the viewer waits, after which another copy is taken; and where there is none.
const SILENT_MS = 1000;
const PATIENCE_MS = 10_000;
// After so many bytes, copies that broke off before are worth another try.
const WORTH = 64 * 1024;
const FAILED_MS = 60_000;
const MOST_KNOWN = 1000;

/** A header by which the archive's own copy is asked for: who gets it back asks itself. */
export const OF_THE_EDGE = "Reelkeep-Edge";

const failures = new Map();

/**
 * The bytes `start` up to `stop` of a video (the archive's answer: `size`, `sha256`, `copies`), as a stream.
 * `again` asks the archive anew, once, when every copy has failed. With `exact: false` a copy is only chosen at the
 * beginning: then no JavaScript touches the bytes. Throws a Problem when no copy can be opened.
 */
export async function bytesOf(video, { start, stop }, { again, viewer, exact }) {
  const copies = new Copies(video, stop, again, viewer);
  const first = await copies.openNext(start);
  if (!exact || first.body === null) return first.body;
  const { readable, writable } = new FixedLengthStream(stop - start);
  const writer = writable.getWriter();
  // What is left of an error by then: the viewer's connection ends without a proper end, or has ended before.
  passOn(copies, first, start, writer).catch((error) => writer.abort(error).catch(() => {}));
  return readable;
}

/** All copies of one video in the order to try them: those that failed in the last minute are last. */
class Copies {
  constructor(video, stop, again, viewer) {
    this.stop = stop;
    this.again = again;
    this.viewer = viewer;
    this.list(video);
  }

  list(video) {
    const order = (copy) => (hasFailed(copy) ? 1 : 0);
    this.video = video;
    this.waiting = [...video.copies].sort((one, other) => order(one) - order(other));
    this.out = [];
    this.came = 0;
  }

  /** Is there another one to take? */
  get more() {
    return this.waiting.length > 0;
  }

  /** The next copy that can be opened at `position`. Throws a Problem when there is none. */
  async openNext(position) {
    for (;;) {
      while (this.waiting.length > 0) {
        const opened = await this.open(this.waiting.shift(), position);
        if (opened !== null) return opened;
      }
      await this.askAgain();
    }
  }

  async askAgain() {
    const video = this.again === null ? null : await this.again();
    this.again = null;
    if (video?.sha256 !== this.video.sha256) throw noCopy();
    this.list(video);
  }

  async open(copy, position) {
    const headers = copy.kind === "site" ? { [OF_THE_EDGE]: "1" } : {};
    if (position > 0 || this.stop < this.video.size) headers.Range = `bytes=${position}-${this.stop - 1}`;
    const patience = this.more ? SILENT_MS : PATIENCE_MS;
    let upstream = null;
    try {
      upstream = await ask(copy.url, { viewer: this.viewer, headers, patience, cf: caching(this.video, position) });
      requireRight(upstream, position, this.stop, this.video);
      upstream.copy = copy;
      return upstream;
    } catch (error) {
      upstream?.abort();
      if (this.viewer.aborted) throw error;
      this.failed(copy, error.message);
      return null;
    }
  }

  /** So many bytes came: after some of them, copies that are out may be tried again. */
  gained(bytes) {
    this.came += bytes;
    if (this.came >= WORTH) this.waiting.push(...this.out.splice(0));
  }

  /** It is out; unless it was worth it, then it comes after the others. */
  failed(copy, why) {
    hasNowFailed(copy, why);
    (this.came >= WORTH ? this.waiting : this.out).push(copy);
    this.came = 0;
  }
}

/**
 * How Cloudflare's cache is to treat a request. The bytes of a digest never change, so what is read from the beginning
 * on may be kept. What begins later is not: the cache would fetch all that comes before first, while a viewer waits.
 */
function caching({ sha256 }, position) {
  if (position > 0) return { cacheTtlByStatus: { "100-599": -1 } };
  const cacheTtlByStatus = { "200-299": 86_400, "300-599": -1 };
  return { cacheEverything: true, cacheTtlByStatus, cacheKey: `reelkeep:${sha256}` };
}

/** Throws an Error unless the answer is these very bytes, of a file of that size. */
function requireRight(upstream, start, stop, { size, sha256 }) {
  const { headers, status } = upstream;
  const part = contentRange(headers);
  const asked = start > 0 || stop < size;
  if (status !== (asked ? 206 : 200)) throw new Error(`it answers with status ${status}`);
  if (asked && part?.text !== `bytes ${start}-${stop - 1}/${size}`) throw new Error("it has other bytes there");
  if (valueOf(headers, "Content-Length") !== String(stop - start)) throw new Error("it has another size");
  if (!["", "identity"].includes(valueOf(headers, "Content-Encoding"))) throw new Error("it is compressed");
  const etag = valueOf(headers, "ETag");
  if (/^"[0-9a-f]{64}"$/.test(etag) && etag !== `"${sha256}"`) throw new Error("it has another content");
}

/** Reads from copy after copy until all bytes are written. Throws a Problem when no copy is left in the middle. */
async function passOn(copies, first, start, writer) {
  let [position, upstream] = [start, first];
  const gained = (bytes) => {
    position += bytes;
    copies.gained(bytes);
  };
  for (;;) {
    const why = await copyBytes(upstream, writer, copies, copies.stop - position, gained);
    upstream.abort();
    if (position === copies.stop) return writer.close();
    copies.failed(upstream.copy, `${why} at byte ${position}`);
    upstream = await copies.openNext(position);
  }
}

/** Up to `length` bytes of one copy. Why it ended; throws what the writer throws: the viewer has left. */
async function copyBytes(upstream, writer, copies, length, gained) {
  const reader = upstream.body.getReader({ mode: "byob" });
  const watch = new Watch(upstream);
  let buffer = new ArrayBuffer(PIECE);
  let least = 1;
  try {
    for (let left = length; left > 0; ) {
      const view = new Uint8Array(buffer, 0, Math.min(PIECE, left));
      const began = watch.begin(copies.more ? SILENT_MS : PATIENCE_MS);
      const { value, done } = await reader.readAtLeast(Math.min(least, left), view).catch(brokenOff);
      least = watch.end() - began < QUICK_MS ? AT_ONCE : 1;
      if (value?.byteLength > 0) {
        await writer.write(value);
        left -= value.byteLength;
        gained(value.byteLength);
      }
      if (done) return watch.silent ? "it is silent" : "it breaks off";
      buffer = value.buffer;
    }
    return "it is over";
  } catch (left) {
    upstream.abort();
    throw left;
  } finally {
    watch.stop();
  }
}

function brokenOff() {
  return { done: true };
}

/** Breaks a connection off that is silent while it is read. One timer for all reads: each would cost time. */
class Watch {
  constructor(upstream) {
    this.upstream = upstream;
    this.silent = false;
    this.until = Infinity;
    this.timer = null;
  }

  begin(patience) {
    const now = Date.now();
    this.until = now + patience;
    this.timer ??= setTimeout(() => this.look(), Math.min(patience, SILENT_MS));
    return now;
  }

  end() {
    this.until = Infinity;
    return Date.now();
  }

  look() {
    const now = Date.now();
    this.timer = null;
    if (this.until <= now) {
      this.silent = true;
      this.upstream.abort();
    } else if (this.until < Infinity) {
      this.timer = setTimeout(() => this.look(), Math.min(this.until - now, SILENT_MS));
    }
  }

  stop() {
    clearTimeout(this.timer);
  }
}

function hasNowFailed(copy, why) {
  // Its URL may hold a signature: only its host is told.
  const host = URL.canParse(copy.url) ? new URL(copy.url).host : "a malformed URL";
  console.warn(`A copy (${copy.kind}, ${host}) is left out: ${why}.`);
  if (failures.size >= MOST_KNOWN) failures.clear();
  failures.set(nameOf(copy), Date.now() + FAILED_MS);
}

function hasFailed(copy) {
  return (failures.get(nameOf(copy)) ?? 0) > Date.now();
}

function nameOf(copy) {
  return copy.url.split("?", 1)[0];
}

function noCopy() {
  const text = "This video is archived, but no copy of it can be read now. An operator must look at it.";
  return new Problem(503, "no_copy", text, { "Retry-After": "30" });
}
