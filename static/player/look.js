/** What a stream's URL gives: a playlist, a file, or a reason why there is nothing to play, with what to do next. */

const HLS = /mpegurl/i;
const WAITING = new Set(["pending", "downloading", "uploading"]);
const SECONDS = 20;

/** {kind: "hls" | "file"}, or {problem: Problem}. Doubtful cases are a file: then the video element decides. */
export async function look(url) {
  try {
    const answer = await fetch(url, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(SECONDS * 1000) });
    return found(answer) || (await lookCloser(url, answer));
  } catch (error) {
    return { problem: unreachable(error) };
  }
}

function found(answer) {
  if (answer.type === "opaqueredirect") return { kind: "file" };
  if (answer.ok) return { kind: HLS.test(answer.headers.get("Content-Type") || "") ? "hls" : "file" };
  return null;
}

/** Errors explain themselves to GET; and some sources refuse HEAD alone, whose refusal is `head`. */
async function lookCloser(url, head) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), SECONDS * 1000);
  try {
    const answer = await fetch(url, { headers: { Range: "bytes=0-0" }, redirect: "manual", signal: stop.signal });
    const json = (answer.headers.get("Content-Type") || "").includes("json");
    return found(answer) || { problem: problem(answer.status, json ? await answer.json() : {}, answer.headers.get("Retry-After")) };
  } catch {
    return { problem: problem(head.status, {}, head.headers.get("Retry-After")) }; // the status alone has to do
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

function unreachable(error) {
  const slow = error.name === "TimeoutError";
  return {
    title: slow ? "The server does not answer" : "The server can't be reached",
    detail: slow ? `It has said nothing for ${SECONDS} seconds.` : "The connection to it fails.",
    next: "Check your connection. This page tries again by itself.",
    wait: 5,
  };
}

/** A Problem: {title, detail, next, wait}: `wait` are seconds until it is worth trying again by itself, or null. */
export function problem(status, body, retryAfter) {
  const detail = body.detail || `The server answered with status ${status}.`;
  const wait = /^\d+$/.test(retryAfter || "") ? Math.min(60, Math.max(2, Number(retryAfter))) : null;
  if (body.error === "upstream_status") {
    // What an upstream says of its own file is no word on the video: that can still be archived from elsewhere.
    const next = "It starts here as soon as it can be played.";
    return { title: "The source can't be played now", detail, next, wait: wait ?? 15 };
  }
  if (status === 410 && body.error !== "expired") {
    return { title: "This video was deleted", detail, next: "Ask whoever runs this archive for it.", wait: null };
  }
  if (status === 404 && WAITING.has(body.status)) {
    return { title: "Not archived yet", detail, next: "It starts here as soon as it can be played.", wait: 5 };
  }
  if (status === 404 && body.status === "failed") {
    return { title: "Archiving failed", detail, next: "When it was requeued, try again.", wait: null };
  }
  if (status === 404) {
    return { title: "Not archived", detail, next: "Ask whoever runs this archive for it.", wait: null };
  }
  if (status === 503) {
    return { title: "It can't be read right now", detail, next: "This page tries again by itself.", wait: wait ?? 15 };
  }
  if (status === 502 || status === 504) {
    return { title: "Its source does not deliver", detail, next: "This page tries again by itself.", wait: wait ?? 15 };
  }
  if (status === 429) {
    return { title: "Too many at once", detail, next: "This page tries again by itself.", wait: wait ?? 15 };
  }
  return { title: "It can't be played", detail, next: "Try again; if it stays so, tell whoever runs this.", wait };
}

export const UNPLAYABLE = {
  title: "This browser can't play it",
  detail: "The video's format is unknown to this browser, or the file is damaged.",
  next: "Try another browser, or download it and open it with a player such as VLC.",
  wait: null,
};
