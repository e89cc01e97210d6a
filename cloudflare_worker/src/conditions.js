// Conditional requests (RFC 9110 §13.2.2) as Django's `get_conditional_response` decides them.

import { parseDate } from "./dates.js";

const ETAGS = /(?:W\/)?"[^"]*"/g;

/** 304 or 412 when that is the answer to a GET or HEAD for what has these validators; null when it is the content. */
export function earlyStatus(headers, etag, lastModified) {
  const [match, noneMatch] = ["If-Match", "If-None-Match"].map((name) => entityTags(headers.get(name) ?? ""));
  const unmodified = parseDate(headers.get("If-Unmodified-Since") ?? "");
  const modified = parseDate(headers.get("If-Modified-Since") ?? "");
  if (match.length > 0 && !match.includes("*") && !match.includes(etag)) return 412;
  if (match.length === 0 && unmodified !== null && lastModified > unmodified) return 412;
  if (noneMatch.length > 0) return noneMatch.includes("*") || noneMatch.map(strong).includes(strong(etag)) ? 304 : null;
  return modified !== null && lastModified <= modified ? 304 : null;
}

function entityTags(text) {
  return text.trim() === "*" ? ["*"] : (text.match(ETAGS) ?? []);
}

function strong(tag) {
  return tag.replace(/^W\//, "");
}
