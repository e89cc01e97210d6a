// Runs the Worker's modules for the tests: a JSON list of [name, …arguments] comes in, a list of results goes out.
// Bytes are base64. A result is {value} or {error: [name of the class, …]}.

import { readFileSync } from "node:fs";

import { ends, isPlaylist, rewrite } from "../../cloudflare_worker/src/playlists.js";
import { resolve } from "../../cloudflare_worker/src/resolve.js";
import { derived, directory, Key, Keyring, percentEncoded, Signer } from "../../cloudflare_worker/src/signing.js";

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const signer = ([key, expires]) => new Signer(new Key(key), expires);

const calls = {
  kid: (secret) => new Key(secret).kid(),
  derived,
  directory,
  percentEncoded,
  resolve,
  exact: (by, url, variables) => signer(by).exact(url, variables),
  child: (by, url) => signer(by).child(url),
  verify: ([current, older], query, now) => new Keyring(current, older).verify(new URLSearchParams(query), now),
  rewrite: async (by, data, base, variables) =>
    Buffer.from(await rewrite(bytes(data), base, signer(by), variables)).toString("base64"),
  isPlaylist: (contentType, url, head) => isPlaylist(contentType, url, bytes(head)),
  ends: (data) => ends(bytes(data)),
  cost: async (by, data, base) => {
    const started = process.cpuUsage();
    await rewrite(bytes(data), base, signer(by));
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1e6;
  },
};

const results = [];
for (const [name, ...args] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    results.push({ value: await calls[name](...args) });
  } catch (error) {
    results.push({ error: [error.constructor.name, error.status, error.error, error.message] });
  }
}
process.stdout.write(JSON.stringify(results));
