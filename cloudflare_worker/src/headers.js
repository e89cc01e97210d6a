// What the answers' headers hold, and what of a player's or an upstream's header is understood.
// `storage_app/playback/{cors,content_types,upstream_headers}.py` for the Worker.

import { parseDate } from "./dates.js";

export const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
  "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since, Content-Type",
  "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

/** What is served came from strangers: no browser may take it for a page. */
export const HARMLESS = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
};

export const PLAYLIST = "application/vnd.apple.mpegurl";
export const UNKNOWN = "application/octet-stream";

const MEDIA = /^(?:video|audio|image)\/[a-z0-9_.+-]+$/;
const FURTHER = new Set(["text/vtt", "application/mp4", "application/ttml+xml", "application/dash+xml", PLAYLIST]);
const RUNS_SCRIPTS = new Set(["image/svg+xml"]);
const SAY_NOTHING = new Set(["", "text/plain"]);

const CONTENT_RANGE = /^bytes ([0-9]{1,18})-([0-9]{1,18})\/([0-9]{1,18}|\*)$/i;
const NO_RANGE = /^bytes \*\/[0-9]{1,18}$/i;
const NUMBER = /^[0-9]{1,18}$/;
const SECONDS = /^[0-9]{1,9}$/;
const ETAG = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;

/** A header's value without white space around it; "" when it isn't there. */
export function valueOf(headers, name) {
  return (headers.get(name) ?? "").trim();
}

/** A content type in lower case, without parameters. */
function bare(contentType) {
  return contentType.split(";", 1)[0].trim().toLowerCase();
}

/** What viewers are told of a content type: itself, or that it is bytes in the place of one that could do harm. */
export function safeType(contentType) {
  const type = bare(contentType);
  const harmless = FURTHER.has(type) || (MEDIA.test(type) && !RUNS_SCRIPTS.has(type));
  return harmless ? type : UNKNOWN;
}

/** Whether servers give it to what they don't know: then only the content tells whether it is a playlist. */
export function saysNothing(contentType) {
  const type = bare(contentType);
  return SAY_NOTHING.has(type) || type.endsWith("/octet-stream");
}

/** The parts `{first, last, size}` of a Content-Range, as strings; null when it isn't one. */
export function contentRange(headers) {
  const match = CONTENT_RANGE.exec(valueOf(headers, "Content-Range"));
  return match && { text: match[0].toLowerCase(), first: match[1], last: match[2], size: match[3] };
}

/** What a player has to know of an upstream's body; with `whole` of all of it, where only a part was fetched. */
export function aboutBody(upstream, whole) {
  const { headers: given } = upstream;
  const headers = { "Content-Type": safeType(given.get("Content-Type") ?? "") };
  const part = upstream.status === 206 ? contentRange(given) : null;
  const length = valueOf(given, "Content-Length");
  if (part !== null && whole) {
    if (part.size !== "*") headers["Content-Length"] = part.size;
  } else {
    if (part !== null) headers["Content-Range"] = part.text;
    if (NUMBER.test(length)) headers["Content-Length"] = length;
  }
  const ranges = valueOf(given, "Accept-Ranges").toLowerCase();
  if (ranges === "bytes" || ranges === "none") headers["Accept-Ranges"] = ranges;
  return headers;
}

/** ETag and Last-Modified, where they are well-formed. */
export function validators(given) {
  const found = ["ETag", "Last-Modified"].map((name) => [name, valueOf(given, name)]);
  return Object.fromEntries(found.filter(([, value]) => isValidator(value)));
}

/** Whether If-Range may hold it: an entity tag or a date. */
export function isValidator(value) {
  return ETAG.test(value) || parseDate(value) !== null;
}

/** Content-Range of a 416 answer, where it is well-formed. */
export function sizeTold(upstream) {
  const value = valueOf(upstream.headers, "Content-Range");
  return upstream.status === 416 && NO_RANGE.test(value) ? { "Content-Range": value.toLowerCase() } : {};
}

/** Retry-After, where it is a number of seconds. */
export function retryAfter(upstream) {
  const value = valueOf(upstream.headers, "Retry-After");
  return SECONDS.test(value) ? { "Retry-After": value } : {};
}
