// `/stream/…`: a video by its natural key, before, during and after archiving.
// `storage_app/api/stream.py` for the Worker.

import { earlyStatus } from "./conditions.js";
import { httpDate } from "./dates.js";
import { json, Problem } from "./errors.js";
import { bytesOf, OF_THE_EDGE } from "./failover.js";
import { CORS, HARMLESS, UNKNOWN } from "./headers.js";
import { proxied } from "./proxy.js";
import { parseRange, rangeApplies, Unsatisfiable } from "./ranges.js";
import { policyOf, signerOf } from "./settings.js";
import { lookUp } from "./store.js";

const VIDEO = /^video\/[A-Za-z0-9.+-]+$/;
const UNUSABLE = /[\p{Cc}/\\]/u;
// Short, because a video that is archived again keeps its URL.
const CACHE_CONTROL = "public, max-age=300";

/** The answer to `/stream/{mal_id}/{episode}/{provider}[/{resolution}]`. */
export async function stream(request, env, url, path) {
  if (request.headers.has(OF_THE_EDGE)) throw inCircles();
  const segments = segmentsOf(path);
  const found = segments === null ? notArchived() : await lookUp(env, segments, request.signal);
  if (found instanceof Response) return found;
  if (found.status === "source") {
    return proxied(request, found.url, await signerOf(env), { policy: policyOf(env), lasting: false });
  }
  return archived(request, env, segments, found);
}

async function archived(request, env, segments, video) {
  const etag = `"${video.sha256}"`;
  const modified = httpDate(video.last_modified);
  const validators = { ETag: etag, "Last-Modified": modified, "Cache-Control": CACHE_CONTROL };
  const early = earlyStatus(request.headers, etag, video.last_modified);
  if (early === 304) return new Response(null, { status: 304, headers: { ...CORS, ...validators } });
  if (early === 412) throw new Problem(412, "precondition_failed", "The video is not the one that was asked for.");
  const part = wanted(request, video.size, etag, modified);
  const bytes = part ?? { start: 0, stop: video.size };
  const headers = {
    ...CORS,
    ...HARMLESS,
    ...validators,
    "Accept-Ranges": "bytes",
    "Content-Length": String(bytes.stop - bytes.start),
    "Content-Type": VIDEO.test(video.content_type) ? video.content_type : UNKNOWN,
    ...(part && { "Content-Range": `bytes ${part.start}-${part.stop - 1}/${video.size}` }),
  };
  if (request.method === "HEAD") return new Response(null, { headers });
  const again = async () => {
    const found = await lookUp(env, segments, request.signal, true);
    return found instanceof Response ? null : found;
  };
  const body = await bytesOf(video, bytes, { again, viewer: request.signal, exact: env.FAILOVER !== "start" });
  return new Response(body, { status: part ? 206 : 200, headers });
}

/** The range to send; null for the whole file. Range is defined for GET alone (RFC 9110 §14.2). Throws a Problem. */
function wanted(request, size, etag, modified) {
  const range = request.headers.get("Range") ?? "";
  if (request.method !== "GET" || !range) return null;
  if (!rangeApplies(request.headers.get("If-Range") ?? "", etag, modified)) return null;
  try {
    return parseRange(range, size);
  } catch (error) {
    if (!(error instanceof Unsatisfiable)) throw error;
    const text = `The range lies outside the file, which has ${size} bytes.`;
    throw new Problem(416, "range", text, { "Content-Range": `bytes */${size}`, "Accept-Ranges": "bytes" });
  }
}

/** The decoded segments of the path; null when no video can have them, for each is one segment of the archive's URL. */
function segmentsOf(path) {
  const written = path.split("/").slice(2);
  try {
    const segments = written.map(decodeURIComponent);
    const odd = segments.some((segment) => segment === "" || /^\.{1,2}$/.test(segment) || UNUSABLE.test(segment));
    return odd || segments.length < 3 || segments.length > 4 ? null : segments;
  } catch {
    return null;
  }
}

function notArchived() {
  const detail = "This video is not archived, and nobody has asked for it.";
  return json(404, { error: "not_archived", detail, queued: false, status: null });
}

function inCircles() {
  return new Problem(508, "loop", "This Worker asks itself for videos: PUBLIC_URL of the archive must not lead to it.");
}
