// Rewrites HLS playlists so that everything they lead to comes through `/proxy` as well: the same bytes as
// `storage_app/playback/playlists.py`, whose docstring says what is done. Texts are bytes as characters
// (ISO 8859-1), and lengths are those in bytes. `tests/vectors/playlists.json` holds both to it.

import { Resolver } from "./resolve.js";
import { directory, percentEncoded } from "./signing.js";

export const MAX_LINES = 250_000;
/** Bytes of links: a playlist of short names from a long URL could become a thousand times as large. */
export const MAX_REWRITTEN = 12 * 2 ** 20;
/** Bytes of a body that `isPlaylist` looks at. */
export const SNIFFED = 512;
/** Bytes of a variable's value, and of all variables that a link hands on, when they are percent-encoded. */
const MAX_VALUE = 2048;
/** Bytes of a reference in which variables are replaced, before and after. */
const MAX_SUBSTITUTED = 4096;

const TAG = "#EXT-X-";
const DEFINE = "#EXT-X-DEFINE:";
const LINKED = new Set(["URI", "SERVER-URI", "X-ASSET-URI", "X-ASSET-LIST"]);
const DEFINING = new Set(["NAME", "VALUE", "IMPORT", "QUERYPARAM"]);
const PREFETCH = new Set(["#EXT-X-PREFETCH", "#EXT-X-TWITCH-PREFETCH"]); // the URL is all that comes after the colon
const OF_VARIANTS = ["#EXT-X-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-MEDIA:"];
const PLAYLISTS_OF_VARIANTS = new Set(["#EXT-X-MEDIA", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-IMAGE-STREAM-INF"]);
const REPORT = "#EXT-X-RENDITION-REPORT";

const PATH = /^[^/?#]*\/\/[^/?#]*([^?#]*)/;
const BREAK = /(\r\n?|\n)/;
const NOT_ASCII = /[^\x00-\x7f]/;
const ALL_NOT_ASCII = /[^\x00-\x7f]/g;
// References that differ from their neighbours only in the name: what is in front of it is resolved and signed once.
const NAMED = /^((?:[^?#]*\/)?)([A-Za-z0-9_-][A-Za-z0-9_.~-]*)(\?[!$-;=?-Z[\]_a-z~%]*)?$/;
// A value is a quoted string, or what comes before the next comma; what follows a quoted string up to it is ignored.
const ATTRIBUTE = /([^=,"]*)=([ \t]*"[^"]*"|[^,]*)[^,]*(?:,|$)|[^,]*(?:,|$)/g;
// The usual attribute list: its one link in quotes, and nothing odd in front of it. Much faster to find.
const SIMPLE = /^((?:[A-Z0-9-]+=(?:"[^"]*"|[^",]*),)*?URI=")([^"]*)"(?:,|$)/;
const REFERENCE = /\{\$([A-Za-z0-9_-]+)\}/g;
const NAME = /^[A-Za-z0-9_-]+$/;
const NOT_OF_VALUES = /[\x00-\x1f"\x7f]/;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;

const utf8 = new TextEncoder();

/** It has too many lines, or would become too large. */
export class PlaylistTooLarge extends Error {}

/**
 * The playlist `text` (a Uint8Array or a string) from the URL `base`, as a Uint8Array, with links that `signer` signs,
 * relative to this origin. `variables` are those that its own link brought along. Throws PlaylistTooLarge.
 */
export async function rewrite(text, base, signer, variables = "") {
  const data = typeof text === "string" ? utf8.encode(text) : text;
  const content = fromBytes(data.subarray(lengthInFront(data)));
  const returns = count(content, "\r");
  const feeds = count(content, "\n");
  const both = returns === 0 ? 0 : count(content, "\r\n");
  if (returns + feeds - both > MAX_LINES) throw new PlaylistTooLarge(`The playlist has more than ${MAX_LINES} lines.`);
  const joint = returns === 0 ? "\n" : returns === both && both === feeds ? "\r\n" : "";
  const lines = content.split(joint || BREAK);
  return toBytes((await new Rewriting(content, lines, base, signer, variables).lines()).join(joint));
}

/** Whether an answer from `url` is one, by its Content-Type, its name or its first SNIFFED bytes (a Uint8Array). */
export function isPlaylist(contentType, url, head) {
  const kind = (contentType ?? "").split(";", 1)[0].trim().toLowerCase();
  const path = PATH.exec(url)?.[1].toLowerCase() ?? "";
  if (kind.includes("mpegurl") || path.endsWith(".m3u8") || path.endsWith(".m3u")) return true;
  const untold = kind === "" || kind === "text/plain" || kind.endsWith("/octet-stream");
  return untold && fromBytes(head.subarray(lengthInFront(head)).subarray(0, 7)) === "#EXTM3U";
}

/** Whether this playlist (a Uint8Array or a string) will not change: it has EXT-X-ENDLIST, or lists variants. */
export function ends(text) {
  const content = typeof text === "string" ? text : fromBytes(text);
  return hasLine(content, "#EXT-X-ENDLIST") || listsVariants(content);
}

/** Of one playlist. */
class Rewriting {
  #lines;
  #resolver;
  #signer;
  #room = MAX_REWRITTEN;
  #variables;
  #hasVariants;
  #handedOn;
  /** What a link is up to its name, for each text in front of names; null where URLs aren't signed by directory. */
  #before = new Map();
  #query = ["", ""];
  /** Links of single URLs, for the line that is being rewritten. */
  #links = new Map();
  /** Signing is asynchronous, the rest is not: what has to be done before this line can be rewritten (again). */
  #missing = null;

  constructor(content, lines, base, signer, variables) {
    this.#lines = lines;
    this.#resolver = new Resolver(base);
    this.#signer = signer;
    this.#variables = new Variables(this.#resolver.query, variables);
    if (content.includes(DEFINE)) this.#define();
    this.#hasVariants = listsVariants(content);
    this.#handedOn = this.#hasVariants ? this.#variables.handedOn() : variables;
  }

  /** The new ones. */
  async lines() {
    const lines = this.#lines;
    for (let number = 0; number < lines.length; number++) {
      const line = lines[number];
      if (line === "") continue;
      let changed = this.#changed(line);
      while (this.#missing !== null) {
        const signed = this.#missing;
        this.#missing = null;
        await signed();
        changed = this.#changed(line);
      }
      if (this.#links.size > 0) this.#links.clear();
      if (changed === line) continue;
      this.#spend(changed.length);
      lines[number] = changed;
    }
    return lines;
  }

  #define() {
    this.#lines.forEach((line, number) => {
      if (!line.startsWith(DEFINE)) return;
      this.#lines[number] = this.#variables.define(line);
      this.#spend(this.#lines[number].length);
    });
  }

  #spend(size) {
    this.#room -= size;
    if (this.#room < 0) {
      throw new PlaylistTooLarge(`The rewritten playlist is larger than ${MAX_REWRITTEN / 2 ** 20} MiB.`);
    }
  }

  #changed(line) {
    if (line[0] !== "#") return this.#uriLine(line);
    if (line.startsWith("#EXTINF:")) return line;
    return line.includes("URI") || line.includes("X-ASSET-LIST") || line.includes("PREFETCH") ? this.#tag(line) : line;
  }

  #uriLine(line) {
    const text = trimmed(line, " \t\r\n");
    if (text === "") return line;
    if (text[0] === "#") return this.#tag(line);
    return this.#link(text, this.#hasVariants) ?? line;
  }

  #tag(line) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const tag = trimmed(name, " \t");
    if (colon < 0 || !tag.startsWith(TAG) || line.startsWith(DEFINE)) return line;
    const rest = line.slice(colon + 1);
    if (PREFETCH.has(tag)) {
      const link = this.#link(rest, false);
      return link === null ? line : `${name}:${link}`;
    }
    const withVariables = this.#hasVariants ? PLAYLISTS_OF_VARIANTS.has(tag) : tag === REPORT;
    return `${name}:${this.#attributes(rest, withVariables)}`;
  }

  #attributes(text, withVariables) {
    const simple = SIMPLE.exec(text);
    if (simple !== null && count(text, "URI") === 1 && !text.includes("X-ASSET-LIST")) {
      const link = this.#link(simple[2], withVariables);
      return link === null ? text : simple[1] + link + text.slice(simple[1].length + simple[2].length);
    }
    let rewritten = "";
    let done = 0;
    for (const { value, start, stop } of attributes(text, LINKED)) {
      const link = this.#link(value, withVariables);
      if (link === null) continue;
      rewritten += text.slice(done, start) + link;
      done = stop;
    }
    return rewritten + text.slice(done);
  }

  /** null for what isn't to be linked. */
  #link(reference, withVariables) {
    const replaced = this.#variables.replace(reference);
    if (withVariables && this.#handedOn) {
      return this.#single(replaced, (url) => this.#signer.exact(url, this.#handedOn));
    }
    const parts = NAMED.exec(replaced);
    if (parts !== null) {
      const [, front, name, query] = parts;
      const before = this.#before.get(front) ?? this.#inFront(front);
      if (before !== null) return query === undefined ? before + name : before + name + this.#encoded(query);
    }
    return this.#single(replaced, (url) => this.#signer.child(url));
  }

  /** Mostly all segments have the same. */
  #encoded(query) {
    if (query !== this.#query[0]) this.#query = [query, percentEncoded(query)];
    return this.#query[1];
  }

  #single(reference, sign) {
    const url = this.#webUrl(reference);
    if (url === null) return null;
    const link = this.#links.get(url);
    if (link === undefined) this.#missing ??= async () => this.#links.set(url, `/proxy?${await sign(url)}`);
    return link ?? null;
  }

  #inFront(front) {
    if (this.#before.has(front)) return null;
    const folder = this.#webUrl(`${front}x`)?.slice(0, -1);
    if (folder !== undefined && directory(folder) === folder) {
      this.#missing ??= async () => this.#before.set(front, `/proxy?${await this.#signer.within(folder)}`);
    } else this.#before.set(front, null);
    return null;
  }

  #webUrl(reference) {
    return this.#resolver.webUrl(NOT_ASCII.test(reference) ? reference.replace(ALL_NOT_ASCII, percent) : reference);
  }
}

/** The values that a playlist's EXT-X-DEFINE tags give to names, the first one of each; see `playlist_tags.py`. */
class Variables {
  #query;
  #imported;
  #values = new Map();

  constructor(query, imported) {
    this.#query = pairs(query);
    this.#imported = pairs(imported);
  }

  get any() {
    return this.#values.size > 0;
  }

  /** Take note of an EXT-X-DEFINE line. The line for players, who don't see the query nor what was handed on. */
  define(line) {
    const given = new Map();
    for (const { name, value } of attributes(line.slice(DEFINE.length), DEFINING)) given.set(name, value);
    if (given.has("NAME")) {
      if (given.has("VALUE")) this.#note(given.get("NAME"), given.get("VALUE"));
      return line;
    }
    const asked = given.has("QUERYPARAM");
    const name = given.get(asked ? "QUERYPARAM" : "IMPORT") ?? "";
    const value = (asked ? this.#query : this.#imported).get(name);
    if (value === undefined || !this.#note(name, value)) return line;
    return `${DEFINE}NAME="${name}",VALUE="${value}"`;
  }

  /** `text` with the values of its variables; as it is when it would be too long. */
  replace(text) {
    if (!this.any || !text.includes("{$") || text.length > MAX_SUBSTITUTED) return text;
    const replaced = text.replace(REFERENCE, (whole, name) => this.#values.get(name) ?? whole);
    return replaced.length <= MAX_SUBSTITUTED ? replaced : text;
  }

  /** All of them as a query string, as far as there is room. */
  handedOn() {
    const parts = [];
    let room = MAX_VALUE;
    for (const [name, value] of this.#values) {
      const part = `${name}=${bytesEncoded(value)}`;
      if (part.length >= room) continue;
      parts.push(part);
      room -= part.length + 1;
    }
    return parts.join("&");
  }

  #note(name, value) {
    if (!NAME.test(name) || value.length > MAX_VALUE || NOT_OF_VALUES.test(value)) return false;
    if (!this.#values.has(name)) this.#values.set(name, value);
    return true;
  }
}

/** Those of an attribute list that have one of these names, in order: {name, value, start, stop}. */
function attributes(text, names) {
  const found = [];
  for (const match of text.matchAll(ATTRIBUTE)) {
    if (match[1] === undefined) continue;
    const name = trimmed(match[1], " \t");
    if (!names.has(name)) continue;
    let value = trimmed(match[2], " \t");
    let start = match.index + match[1].length + 1 + match[2].indexOf(value);
    if (value[0] === '"') {
      value = value.length > 1 && value.endsWith('"') ? value.slice(1, -1) : value.slice(1);
      start++;
    }
    found.push({ name, value, start, stop: start + value.length });
  }
  return found;
}

/** The first value of each name; a plus sign is a plus sign. */
function pairs(query) {
  const values = new Map();
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    const name = decoded(equals < 0 ? part : part.slice(0, equals));
    if (!values.has(name)) values.set(name, equals < 0 ? "" : decoded(part.slice(equals + 1)));
  }
  return values;
}

function decoded(text) {
  const bytes = NOT_ASCII.test(text) ? fromBytes(utf8.encode(text)) : text;
  return bytes.replace(ESCAPE, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

function listsVariants(content) {
  return OF_VARIANTS.some((tag) => hasLine(content, tag));
}

function hasLine(content, start) {
  let place = content.indexOf(start);
  while (place > 0 && content[place - 1] !== "\n" && content[place - 1] !== "\r") place = content.indexOf(start, place + 1);
  return place >= 0;
}

function count(text, part) {
  let number = 0;
  for (let place = text.indexOf(part); place >= 0; place = text.indexOf(part, place + part.length)) number++;
  return number;
}

/** In linear time, which /[ \t]+$/ isn't. */
function trimmed(text, blanks) {
  let [start, stop] = [0, text.length];
  while (start < stop && blanks.includes(text[start])) start++;
  while (stop > start && blanks.includes(text[stop - 1])) stop--;
  return text.slice(start, stop);
}

function percent(byte) {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Percent-encodes bytes, as `percentEncoded` does text. */
function bytesEncoded(bytes) {
  return Array.from(bytes, (byte) => (NOT_ASCII.test(byte) ? percent(byte) : percentEncoded(byte))).join("");
}

/** How many bytes of BOMs and blank lines come before anything else. */
function lengthInFront(data) {
  let length = 0;
  for (;;) {
    if (data[length] === 0xef && data[length + 1] === 0xbb && data[length + 2] === 0xbf) length += 3;
    else if (data[length] === 0x20 || data[length] === 0x09 || data[length] === 0x0d || data[length] === 0x0a) length++;
    else return length;
  }
}

function fromBytes(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    if (text.length === data.length) return text; // nothing but ASCII, which is nearly always so
  } catch {
    // It isn't UTF-8, and need not be.
  }
  let text = "";
  for (let place = 0; place < data.length; place += 8192) {
    text += String.fromCharCode.apply(null, data.subarray(place, place + 8192));
  }
  return text;
}

function toBytes(text) {
  const encoded = utf8.encode(text);
  if (encoded.length === text.length) return encoded;
  const data = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) data[place] = text.charCodeAt(place);
  return data;
}
