// Reelkeep at the edge: `/proxy`, `/stream/…` and `/health`, as the site itself answers them.

import { failure, json, Problem } from "./errors.js";
import { CORS } from "./headers.js";
import { proxy } from "./proxy.js";
import { Refused } from "./signing.js";
import { stream } from "./stream.js";

const ALLOW = "GET, HEAD, OPTIONS";

export default {
  async fetch(request, env) {
    try {
      return await answer(request, env);
    } catch (error) {
      if (error instanceof Problem || error instanceof Refused) return failure(error);
      console.error("Unexpected:", error?.stack ?? String(error));
      return json(500, { error: "our_fault", detail: "Something went wrong here; the Worker's log says what." });
    }
  },
};

async function answer(request, env) {
  const url = new URL(request.url);
  const path = url.pathname.replace(/(?<=.)\/$/, "");
  if (request.method === "OPTIONS") {
    return new Response(null, { status: 204, headers: { ...CORS, "Access-Control-Max-Age": "86400", Allow: ALLOW } });
  }
  const work = workFor(path);
  if (request.method !== "GET" && request.method !== "HEAD") {
    const text = work === stream ? `This address answers ${ALLOW} only.` : `Only ${ALLOW} are answered here.`;
    throw new Problem(405, "method_not_allowed", text, { Allow: ALLOW });
  }
  return work(request, env, url, path);
}

function workFor(path) {
  if (path === "/health") return health;
  if (path === "/proxy") return proxy;
  if (path.startsWith("/stream/")) return stream;
  throw new Problem(404, "not_found", "There is nothing at this address.");
}

function health() {
  return json(200, { status: "ok", worker: "weaboo-stream" });
}
