// The Worker's module as a contender of `rewriting.py`: a playlist on each line, a result on each line.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

import { rewrite } from "../cloudflare_worker/src/playlists.js";
import { Key, Signer } from "../cloudflare_worker/src/signing.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { text, base, key, expires } = JSON.parse(line);
  const data = new TextEncoder().encode(text);
  const started = process.cpuUsage();
  const output = await rewrite(data, base, new Signer(new Key(key), expires));
  const { user, system } = process.cpuUsage(started);
  const links = new TextDecoder().decode(output).split("/proxy").length - 1;
  const digest = createHash("sha256").update(output).digest("hex");
  console.log(JSON.stringify({ cpu: (user + system) / 1e6, links, digest }));
}
