// What the archive says of a video: where its copies are, where its source is, or why there is nothing to play.
// Asked with a token, by `GET /api/v1/store/…`; kept in this isolate for as long as the archive allows.

import { json, Problem } from "./errors.js";
import { storeOf } from "./settings.js";
import { ask } from "./upstream.js";

const PATIENCE_MS = 15_000;
// Seconds for which an answer is kept at most, for a video that is deleted shall not play on for long; and before its
// own end, when it is given up.
const LONGEST = 300;
const MARGIN = 5;
const MOST_KEPT = 1000;
const MOST_READ = 1024 * 1024;
const RELAYED = new Set([404, 410, 503]);

const kept = new Map();

/**
 * The archive's answer for the segments of a `/stream/` path, as an object, or a Response to give to the viewer (an
 * AbortSignal). With `anew` an answer that was kept isn't used. Throws a Problem when the archive can't be asked.
 */
export async function lookUp(env, segments, viewer, anew = false) {
  const store = storeOf(env);
  const url = `${store.url}/api/v1/store/${segments.map(encodeURIComponent).join("/")}`;
  const known = kept.get(url);
  const now = Date.now() / 1000;
  if (known !== undefined && known.until > now && !anew) return known.answer;
  kept.delete(url);
  const response = await answerOf(url, store.token, viewer);
  if (RELAYED.has(response.status) && isJson(response)) return relayed(response);
  if (response.status !== 200 || !isJson(response)) throw unanswered(`it answers with status ${response.status}`);
  const answer = await parsed(response);
  keep(url, answer, now);
  return answer;
}

async function answerOf(url, token, viewer) {
  try {
    const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
    return await ask(url, { viewer, headers, patience: PATIENCE_MS });
  } catch (error) {
    throw unanswered(error.message);
  }
}

function isJson(response) {
  return /^application\/json\b/i.test(response.headers.get("Content-Type") ?? "");
}

async function parsed(response) {
  try {
    return JSON.parse(await textOf(response));
  } catch {
    throw unanswered("its answer is no JSON");
  }
}

/** Why there is nothing to play, in the archive's own words. */
async function relayed(response) {
  const body = await textOf(response);
  const retry = response.headers.get("Retry-After");
  return json(response.status, body, retry === null ? {} : { "Retry-After": retry });
}

async function textOf(response) {
  if (Number(response.headers.get("Content-Length") ?? 0) > MOST_READ) throw unanswered("its answer is too long");
  return new Response(response.body).text();
}

function keep(url, answer, now) {
  const until = Math.min((answer.valid_until ?? 0) - MARGIN, now + LONGEST);
  if (until <= now) return;
  if (kept.size >= MOST_KEPT) kept.clear();
  kept.set(url, { answer, until });
}

function unanswered(why) {
  console.error(`The archive at STORE_URL does not say where a video is: ${why}.`);
  const text = "The archive can't be asked for this video now. Try again in a moment.";
  return new Problem(503, "unavailable", text, { "Retry-After": "5" });
}
