// Which foreign addresses may be fetched from: `archive_site/addresses.py` for the Worker, for what a URL itself says.
//
// Names are looked up by the platform, which connects to public addresses alone. What is written as an address, in
// whatever spelling, is judged here, before anything is fetched, and at every redirect.

import { Problem } from "./errors.js";

const DEFAULT_PORTS = { http: 80, https: 443 };
const PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/;
const INVISIBLE = /[\s\p{Cc}\p{Cf}\p{Cs}]/u;
const NUMERIC_HOST = /^(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}$/;
const IPV4 = /^(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}$/;

// [network, prefix length] that RFC 6890 and its successors set apart, and multicast.
const BLOCKED_V4 = [
  ["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8], ["169.254.0.0", 16], ["172.16.0.0", 12],
  ["192.0.0.0", 24], ["192.0.2.0", 24], ["192.88.99.0", 24], ["192.168.0.0", 16], ["198.18.0.0", 15],
  ["198.51.100.0", 24], ["203.0.113.0", 24], ["224.0.0.0", 4], ["240.0.0.0", 4],
].map(([network, bits]) => [numberOf(network) >>> (32 - bits), 32 - bits]);

/** Throws a Problem unless `url` is a plain http(s) URL whose host isn't an address that is not public. */
export function check(url, policy) {
  const { host, port } = hostAndPort(url);
  // What fetches reads URLs by rules of its own (WHATWG's): it must not see another host.
  const spelled = `http://${inUrl(host)}/`;
  const seen = new URL(url).hostname.replace(/\.+$/, "");
  if (!URL.canParse(spelled) || new URL(spelled).hostname !== seen) throw refused();
  if (policy.allowed.has(`${inUrl(host)}:${port}`)) return;
  if (host === "localhost" || host.endsWith(".localhost") || !isPublic(host)) throw refused();
}

/** `url` as scheme://host[:port]/path: no credentials, query or fragment, which may be secret. */
export function displayUrl(url) {
  const match = PARTS.exec(url);
  if (match === null) return "(malformed URL)";
  const path = url.slice(match[0].length).split(/[?#]/, 1)[0];
  return `${match[1]}://${match[2].split("@").at(-1)}${path}`.slice(0, 300);
}

function hostAndPort(url) {
  const match = PARTS.exec(url);
  if (INVISIBLE.test(url) || match === null || !URL.canParse(url)) throw refused();
  const scheme = match[1].toLowerCase();
  const authority = match[2];
  if (!(scheme in DEFAULT_PORTS) || /[@\\%]/.test(authority)) throw refused();
  const pieces = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{1,5}))?$/.exec(authority);
  if (pieces === null || !pieces[1].replaceAll(".", "")) throw refused();
  const port = pieces[2] === undefined ? DEFAULT_PORTS[scheme] : Number(pieces[2]);
  if (port < 1 || port > 65535) throw refused();
  return { host: plainHost(pieces[1]), port };
}

function plainHost(written) {
  const host = normal(written.normalize("NFKC").replaceAll("。", "."));
  const bracketed = written.startsWith("[");
  if (bracketed && groupsOf(host) === null) throw refused();
  if (!bracketed && (host.includes(":") || (NUMERIC_HOST.test(host) && !isIpv4(host)))) throw refused();
  return host;
}

function normal(host) {
  return host.replace(/^\[|\]$/g, "").toLowerCase().replace(/\.+$/, "");
}

function inUrl(host) {
  return host.includes(":") ? `[${host}]` : host;
}

function isPublic(host) {
  if (isIpv4(host)) return isPublicV4(numberOf(host));
  const groups = groupsOf(host);
  return groups === null || isPublicV6(groups);
}

function isPublicV4(number) {
  return BLOCKED_V4.every(([network, shift]) => number >>> shift !== network);
}

function isPublicV6(groups) {
  const last = ((groups[6] << 16) | groups[7]) >>> 0;
  const begins = (...wanted) => wanted.every((group, index) => groups[index] === group);
  if (begins(0x64, 0xff9b, 0, 0, 0, 0) || begins(0, 0, 0, 0, 0, 0xffff)) return isPublicV4(last);
  const globalUnicast = groups[0] >> 13 === 1;
  const setApart =
    (groups[0] === 0x2001 && (groups[1] < 0x200 || groups[1] === 0xdb8)) ||
    groups[0] === 0x2002 ||
    (groups[0] === 0x3fff && groups[1] < 0x1000);
  const isatap = (groups[4] === 0 || groups[4] === 0x200) && groups[5] === 0x5efe;
  return globalUnicast && !setApart && (!isatap || isPublicV4(last));
}

function isIpv4(host) {
  return IPV4.test(host) && host.split(".").every((part) => Number(part) < 256);
}

function numberOf(address) {
  return address.split(".").reduce((number, part) => ((number << 8) | Number(part)) >>> 0, 0);
}

/** The eight groups of an IPv6 address without brackets; null when it isn't one. */
function groupsOf(host) {
  if (!host.includes(":") || !URL.canParse(`http://[${host}]/`)) return null;
  const [before, after] = normal(new URL(`http://[${host}]/`).hostname).split("::");
  const groups = (text) => (text ? text.split(":").map((group) => parseInt(group, 16)) : []);
  if (after === undefined) return groups(before);
  const [first, last] = [groups(before), groups(after)];
  return [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
}

/** The answer where an address is not to be fetched from; it names none. */
export function refused() {
  return new Problem(403, "address_refused", "The source has an address that this site doesn't fetch from.");
}
