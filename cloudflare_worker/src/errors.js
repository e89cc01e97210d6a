// Errors for players and people: one JSON shape, with the words of the site's own answers.

import { CORS } from "./headers.js";

/** What ends a request: `error` is a word for programs, the text a sentence for people. */
export class Problem extends Error {
  constructor(status, error, text, headers = {}) {
    super(text);
    this.status = status;
    this.error = error;
    this.headers = headers;
  }
}

/** The JSON answer that says what a Problem (or signing.js's Refused) is. */
export function failure(problem) {
  return json(problem.status, { error: problem.error, detail: problem.message }, problem.headers);
}

/** `body` (an object, or its JSON) for pages of every site to read and for nobody to keep. */
export function json(status, body, headers = {}) {
  return new Response(typeof body === "string" ? body : JSON.stringify(body), {
    status,
    headers: { ...CORS, "Content-Type": "application/json", "Cache-Control": "no-store", ...headers },
  });
}
