// `/proxy`: a foreign URL for whoever holds a signed link to it.
// `storage_app/api/proxy.py` and `storage_app/playback/upstream.py` for the Worker.

import { Problem } from "./errors.js";
import {
  aboutBody, contentRange, CORS, HARMLESS, isValidator, PLAYLIST, retryAfter, saysNothing, sizeTold, validators,
  valueOf,
} from "./headers.js";
import { ends, isPlaylist, PlaylistTooLarge, rewrite, SNIFFED } from "./playlists.js";
import { oneRange } from "./ranges.js";
import { keyringOf, policyOf } from "./settings.js";
import { Signer } from "./signing.js";
import { nextPiece, open, readAll } from "./upstream.js";

const MAX_PLAYLIST = 8 * 1024 * 1024;
const MAX_PARAMETERS = 1000;
const NOTHING = new Uint8Array(0);
const BLANK = new Set([0xef, 0xbb, 0xbf, 0x0d, 0x0a, 0x09, 0x20]); // the bytes of a byte order mark, and white space
const CONDITIONS = ["If-None-Match", "If-Modified-Since"];
const MAX_DIGITS = 18; // of a range that is sent on: no file is as long
const PRINTABLE = /^[\x20-\x7e]+$/;

// What a player adds to the URL of a playlist by itself (RFC 8216bis §6.2.5), so nobody can have signed it.
const DELIVERY_DIRECTIVE = /^_HLS_[A-Za-z0-9_-]+=[A-Za-z0-9_.~%+-]*$/;

/** The answer to a signed link. */
export async function proxy(request, env, url) {
  if (url.search.split("&").length > MAX_PARAMETERS) {
    throw new Problem(400, "bad_request", "The query has too many parameters.");
  }
  const keyring = await keyringOf(env);
  const grant = await keyring.verify(firstOfEach(url.searchParams), Date.now() / 1000);
  const directives = url.search.slice(1).split("&").filter((part) => DELIVERY_DIRECTIVE.test(part));
  return proxied(request, grant.url, new Signer(keyring.current, grant.expires), {
    policy: policyOf(env),
    variables: grant.variables,
    extraQuery: directives.join("&"),
  });
}

/**
 * What is at `url`, for GET and HEAD. Links in a playlist are written by `signer`, with the `variables` that it may
 * import (EXT-X-DEFINE). `extraQuery` goes to the upstream beside the URL's own query. With `lasting: false` the answer
 * is for a URL of ours that will soon lead elsewhere: validators pass neither way and nobody may keep it.
 */
export async function proxied(request, url, signer, { policy, variables = "", extraQuery = "", lasting = true }) {
  const asked = { request, url: targetOf(url, extraQuery), signer, policy, variables, lasting };
  asked.byName = isPlaylist("", asked.url, NOTHING);
  asked.sent = asked.byName ? {} : sentOn(request, lasting);
  return request.method === "HEAD" ? head(asked) : get(asked);
}

async function get(asked) {
  const upstream = await openAsked(asked, asked.sent);
  const early = withoutBody(upstream, asked.sent);
  if (early !== null) return early;
  if (says(asked, upstream)) return playlist(asked, upstream);
  const begun = mayBePlaylist(upstream) ? await firstBytes(upstream) : NOTHING;
  const isOne = isPlaylist(valueOf(upstream.headers, "Content-Type"), upstream.url, begun);
  if (isOne || (await isPartOfPlaylist(asked, upstream))) return playlist(asked, upstream, begun);
  return new Response(bodyOf(upstream, begun), { status: upstream.status, headers: answered(upstream, asked, false) });
}

async function head(asked) {
  let { sent } = asked;
  let upstream = await openAsked(asked, sent, "HEAD");
  upstream.abort();
  if (upstream.status === 405 || upstream.status === 501) {
    sent = { Range: "bytes=0-0" };
    upstream = await openAsked(asked, sent);
    upstream.abort();
  }
  const early = withoutBody(upstream, sent);
  if (early !== null) return early;
  const isOne = says(asked, upstream) || (mayBePlaylist(upstream) && (await beginsAsPlaylist(asked)));
  if (isOne) return playlist(asked, null);
  return new Response(null, { headers: answered(upstream, asked, true) });
}

/** The playlist whose answer has begun with `begun`, or is asked for anew because only a part of it came. */
async function playlist(asked, upstream, begun = NOTHING) {
  if (upstream === null || upstream.status !== 200) {
    upstream?.abort();
    upstream = await openAsked(asked, {});
    begun = NOTHING;
    const early = withoutBody(upstream, {});
    if (early !== null) return early;
  }
  const text = await readAll(upstream, begun, MAX_PLAYLIST, tooLarge());
  const body = await rewritten(asked, text, upstream.url);
  const headers = {
    "Content-Type": PLAYLIST,
    "Content-Length": String(body.byteLength),
    "Cache-Control": asked.lasting && ends(text) ? "public, max-age=60" : "no-store",
    ...CORS,
    ...HARMLESS,
  };
  return new Response(asked.request.method === "HEAD" ? null : body, { headers });
}

async function rewritten({ signer, variables }, text, base) {
  try {
    return await rewrite(text, base, signer, variables);
  } catch (error) {
    throw error instanceof PlaylistTooLarge ? tooLarge() : error;
  }
}

function tooLarge() {
  return new Problem(502, "playlist_too_large", "The playlist is larger than 8 MiB.");
}

/** The answer where none of the upstream's body is passed on; null where it is. Throws a Problem. */
function withoutBody(upstream, sent) {
  const { status } = upstream;
  if (status === 200 || status === 206) {
    requireUsable(upstream, sent);
    return null;
  }
  upstream.abort();
  if (status === 304 && CONDITIONS.some((name) => name in sent)) {
    return new Response(null, { status, headers: { ...validators(upstream.headers), ...kept(true) } });
  }
  const detail = `The source answers with status ${status}.`;
  if ([404, 410, 416].includes(status)) throw new Problem(status, "upstream_status", detail, sizeTold(upstream));
  if ([429, 503].includes(status)) throw new Problem(503, "upstream_status", detail, retryAfter(upstream));
  throw new Problem(502, "upstream_status", detail);
}

/** Throws a Problem for a body that is compressed, and for a part that isn't the one that was asked for. */
function requireUsable(upstream, sent) {
  const { headers } = upstream;
  if (!["", "identity"].includes(valueOf(headers, "Content-Encoding").toLowerCase())) {
    throw unusable(upstream, "The source sends its answer compressed, which it was not asked to do.");
  }
  if (upstream.status !== 206) return;
  const part = contentRange(headers);
  const first = oneRange(sent.Range ?? "")?.first ?? "";
  const wrong = part === null || !("Range" in sent) || (first !== "" && Number(first) !== Number(part.first));
  const length = valueOf(headers, "Content-Length");
  if (wrong || (length !== "" && Number(length) !== Number(part.last) - Number(part.first) + 1)) {
    throw unusable(upstream, "The source sends another part than it was asked for.");
  }
}

function unusable(upstream, detail) {
  upstream.abort();
  return new Problem(502, "upstream_status", detail);
}

/**
 * Of a player's request the upstream is told one range, if it makes sense, and conditions if wanted. A range whose
 * If-Range the upstream can't be asked is none (RFC 9110 §13.1.5): it could be a part of something else.
 */
function sentOn(request, conditions) {
  const { headers } = request;
  const names = conditions ? CONDITIONS : [];
  const given = names.map((name) => [name, valueOf(headers, name)]);
  const sent = Object.fromEntries(given.filter(([, value]) => PRINTABLE.test(value)));
  const range = request.method === "GET" ? oneRange(valueOf(headers, "Range")) : null;
  const ifRange = valueOf(headers, "If-Range");
  if (range !== null && fits(range) && (!ifRange || (conditions && isValidator(ifRange)))) {
    sent.Range = `bytes=${range.first}-${range.last}`;
    if (ifRange) sent["If-Range"] = ifRange;
  }
  return sent;
}

function fits({ first, last }) {
  return first.length <= MAX_DIGITS && last.length <= MAX_DIGITS;
}

function answered(upstream, asked, whole) {
  return {
    ...aboutBody(upstream, whole),
    ...(asked.lasting ? validators(upstream.headers) : {}),
    ...kept(asked.lasting),
  };
}

function kept(lasting) {
  return { "Cache-Control": lasting ? "public, max-age=300" : "no-store", ...CORS, ...HARMLESS };
}

/** Whether the name or the content type says that it is a playlist. */
function says(asked, upstream) {
  return asked.byName || isPlaylist(valueOf(upstream.headers, "Content-Type"), upstream.url, NOTHING);
}

/** Whether only its first bytes tell, and it begins with them. */
function mayBePlaylist(upstream) {
  const fromStart = upstream.status === 200 || contentRange(upstream.headers)?.text.startsWith("bytes 0-");
  return fromStart && saysNothing(valueOf(upstream.headers, "Content-Type"));
}

/** Whether it is a later part of what only its first bytes, which are asked for, tell to be a playlist. */
async function isPartOfPlaylist(asked, upstream) {
  if (upstream.status !== 206 || mayBePlaylist(upstream)) return false;
  if (!saysNothing(valueOf(upstream.headers, "Content-Type"))) return false;
  const { size } = contentRange(upstream.headers);
  if (size !== "*" && Number(size) > MAX_PLAYLIST) return false;
  try {
    return await beginsAsPlaylist(asked);
  } catch (error) {
    upstream.abort();
    throw error;
  }
}

async function beginsAsPlaylist(asked) {
  const upstream = await openAsked(asked, { Range: `bytes=0-${SNIFFED - 1}` });
  if (upstream.status !== 200 && upstream.status !== 206) {
    upstream.abort();
    return false;
  }
  const begun = await firstBytes(upstream);
  upstream.abort();
  return isPlaylist(valueOf(upstream.headers, "Content-Type"), upstream.url, begun);
}

/** The body's first bytes, as many as tell a playlist. */
async function firstBytes(upstream) {
  if (upstream.body === null) return NOTHING;
  const reader = upstream.body.getReader({ mode: "byob" });
  let begun = NOTHING;
  while (!tells(begun)) {
    const { value, done } = await nextPiece(reader, upstream, new Uint8Array(SNIFFED));
    if (done) break;
    begun = Uint8Array.of(...begun, ...value);
  }
  reader.releaseLock();
  return begun;
}

function tells(begun) {
  const text = begun.findIndex((byte) => !BLANK.has(byte));
  return begun.length >= SNIFFED || (text >= 0 && begun.length - text >= "#EXTM3U".length);
}

/** The upstream's body; its first bytes, which were read already, are put in front again. */
function bodyOf(upstream, begun) {
  if (begun.byteLength === 0) return upstream.body;
  const length = valueOf(upstream.headers, "Content-Length");
  const { readable, writable } = length ? new FixedLengthStream(Number(length)) : new IdentityTransformStream();
  putTogether(begun, upstream.body, writable).catch(() => upstream.abort());
  return readable;
}

async function putTogether(begun, rest, writable) {
  const writer = writable.getWriter();
  await writer.write(begun);
  writer.releaseLock();
  return rest.pipeTo(writable);
}

function openAsked(asked, headers, method = "GET") {
  return open(asked.url, { viewer: asked.request.signal, policy: asked.policy, method, headers });
}

/** Without a fragment, which is never sent. */
function targetOf(url, extraQuery) {
  const [bare] = url.split("#", 1);
  return extraQuery ? `${bare}${bare.includes("?") ? "&" : "?"}${extraQuery}` : bare;
}

/** Of a parameter that is given twice the first counts. */
function firstOfEach(parameters) {
  return new URLSearchParams([...new Set(parameters.keys())].map((name) => [name, parameters.get(name)]));
}
