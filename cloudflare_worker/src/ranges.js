// Which bytes a player asked for: `storage_app/playback/ranges.py` for the Worker (RFC 9110 §14, one range at a time).

const RANGE = /^bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*$/i;

/** The range lies outside the file: 416. */
export class Unsatisfiable extends Error {}

/**
 * The range `{start, stop}` (without `stop`) that `header` asks of a file of `size` bytes; null means the whole file.
 * A header that isn't understood or asks for several ranges is ignored (§14.2). Throws Unsatisfiable.
 */
export function parseRange(header, size) {
  const asked = oneRange(header);
  if (asked === null) return null;
  if (asked.first === "") {
    const length = Number(asked.last);
    if (length === 0 || size === 0) throw new Unsatisfiable();
    return { start: Math.max(0, size - length), stop: size };
  }
  const first = Number(asked.first);
  if (first >= size) throw new Unsatisfiable();
  return { start: first, stop: asked.last === "" ? size : Math.min(Number(asked.last) + 1, size) };
}

/** The digits `{first, last}` ("" for none) of a header that asks for exactly one range; null for others. */
export function oneRange(header) {
  const match = RANGE.exec(header.trim());
  if (match === null) return null;
  const [first, last] = [match[1], match[2]];
  if (first === "" && last === "") return null;
  // Numbers beyond 2^53 are rounded; every file ends before.
  return first !== "" && last !== "" && Number(last) < Number(first) ? null : { first, last };
}

/** Whether If-Range is absent, or names this content (§13.1.5). If not, the whole file is the answer. */
export function rangeApplies(ifRange, etag, lastModified) {
  const value = ifRange.trim();
  return !value || value === etag || value === lastModified;
}
