// What a reference in a playlist leads to: RFC 3986 §5.2, by text alone, so that Python gives the same string.
// `storage_app/playback/playlist_urls.py` says what it does beyond the RFC. No regular expression here may mean
// something else in Python: no \s, no dot, no case folding beyond ASCII.

const BREAKS = /[\t\n\r]+/g;
const NOT_OF_URLS = /[^!#-;=?-Z[\]_a-z~]+/;
const ALL_NOT_OF_URLS = /[^!#-;=?-Z[\]_a-z~]+/g;
const WEB = /^(https?):([/\\]*)/i;
const SLASHES = /^[/\\]{2,}/;
const PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([^]*))?$/;
const ENCODED_NOT_ASCII = /(?:%[89A-Fa-f][0-9A-Fa-f])+/g;
const MAYBE_DOTS = /(?:^|\/)(?:\.|%2e)/i;
const DOT = new Set([".", "%2e"]);
const DOUBLE_DOT = new Set(["..", ".%2e", "%2e.", "%2e%2e"]);

/** Resolves references against one base, the URL that the playlist came from. */
export class Resolver {
  #base;

  constructor(base) {
    this.#base = split(clean(base));
  }

  /** The query of the base, as it is written there. */
  get query() {
    return this.#base.query ?? "";
  }

  /** RFC 3986 §5.2.2, with the fragment of the reference. */
  resolve(reference) {
    return text(this.#target(clean(this.#asBrowsersRead(reference))));
  }

  /** The http(s) URL, without its fragment; null for one without a host, other schemes and empty references. */
  webUrl(reference) {
    const cleaned = clean(this.#asBrowsersRead(reference));
    if (cleaned === "" || cleaned[0] === "#") return null;
    const target = this.#target(cleaned);
    const authority = target.authority ?? "";
    const host = authority.slice(authority.lastIndexOf("@") + 1);
    if ((target.scheme !== "http" && target.scheme !== "https") || host === "" || host[0] === ":") return null;
    return text({ ...target, fragment: undefined });
  }

  #asBrowsersRead(reference) {
    const asked = trimmed(reference).replace(BREAKS, "");
    const web = WEB.exec(asked);
    if (web === null) return asked.replace(SLASHES, "//");
    const rest = asked.slice(web[0].length);
    return web[2] === "" && web[1].toLowerCase() === this.#base.scheme ? rest : `${web[1]}://${rest}`;
  }

  #target(reference) {
    const base = this.#base;
    const { scheme, authority, path, query, fragment } = split(reference);
    if (scheme !== undefined) return { scheme, authority, path: withoutDots(path), query, fragment };
    if (authority !== undefined) return { scheme: base.scheme, authority, path: withoutDots(path), query, fragment };
    if (path === "") return { ...base, query: query ?? base.query, fragment };
    return { ...base, path: withoutDots(path[0] === "/" ? path : this.#merged(path)), query, fragment };
  }

  #merged(path) {
    const base = this.#base;
    if (base.authority !== undefined && base.path === "") return `/${path}`;
    return base.path.slice(0, base.path.lastIndexOf("/") + 1) + path;
  }
}

/** What `reference` means in a document from `base`. */
export function resolve(base, reference) {
  return new Resolver(base).resolve(reference);
}

/** Without spaces and control characters around it. In linear time, which /[\x00-\x20]+$/ isn't. */
function trimmed(text) {
  let [start, stop] = [0, text.length];
  while (start < stop && text[start] <= " ") start++;
  while (stop > start && text[stop - 1] <= " ") stop--;
  return text.slice(start, stop);
}

function clean(url) {
  const cleaned = trimmed(url).replace(BREAKS, "");
  return NOT_OF_URLS.test(cleaned) ? cleaned.replace(ALL_NOT_OF_URLS, (marks) => encodeURIComponent(marks.toWellFormed())) : cleaned;
}

function split(url) {
  const [, scheme, authority, path, query, fragment] = PARTS.exec(url);
  return { scheme: scheme?.toLowerCase(), authority: authority && withHost(authority), path, query, fragment };
}

/** Hosts are left to IDNA: what isn't ASCII in them is not percent-encoded. */
function withHost(authority) {
  if (!authority.includes("%")) return authority;
  const host = authority.lastIndexOf("@") + 1;
  return authority.slice(0, host) + authority.slice(host).replace(ENCODED_NOT_ASCII, decoded);
}

function decoded(bytes) {
  try {
    return decodeURIComponent(bytes);
  } catch {
    return bytes;
  }
}

function text({ scheme, authority, path, query, fragment }) {
  const before = (scheme === undefined ? "" : `${scheme}:`) + (authority === undefined ? "" : `//${authority}`);
  return before + path + (query === undefined ? "" : `?${query}`) + (fragment === undefined ? "" : `#${fragment}`);
}

/** RFC 3986 §5.2.4, in linear time. A path without a slash in front is left as it is. */
function withoutDots(path) {
  if (path[0] !== "/" || !MAYBE_DOTS.test(path)) return path;
  const kept = [];
  const segments = path.slice(1).split("/").map((segment) => [segment, segment.toLowerCase()]);
  for (const [segment, name] of segments) {
    if (DOUBLE_DOT.has(name)) kept.pop();
    else if (!DOT.has(name)) kept.push(segment);
  }
  const last = segments.at(-1)[1];
  if (DOT.has(last) || DOUBLE_DOT.has(last)) kept.push("");
  return `/${kept.join("/")}`;
}
