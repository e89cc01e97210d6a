/** Where each video was left, and the viewer's volume and speed. Without localStorage nothing is remembered. */

const PREFIX = "reelkeep:";
const KEPT = 200; // places; the oldest go first
const FROM = 5; // seconds: nobody misses less
const END = 0.05; // the last part of a video, in which it counts as seen …
const LONGEST_END = 60; // … but never more than these seconds

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null; // refused by the browser, or not ours
  }
}

function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    return false; // refused by the browser, or full
  }
  return true;
}

export const taste = {
  get: () => read("taste") || {},
  set: (change) => write("taste", { ...read("taste"), ...change }),
};

/** The seconds at which this video was left; 0 for its beginning. */
export function placeOf(video) {
  const place = (read("places") || {})[video];
  return place && Number.isFinite(place.at) ? place.at : 0;
}

/** Keeps the place; forgets it near the beginning and near the end. */
export function keepPlace(video, at, length) {
  const places = read("places") || {};
  delete places[video];
  const rest = Math.min(LONGEST_END, length * END);
  if (Number.isFinite(length) && at >= FROM && at < length - rest) places[video] = { at: Math.round(at * 10) / 10 };
  const names = Object.keys(places);
  for (const name of names.slice(0, Math.max(0, names.length - KEPT))) delete places[name];
  write("places", places);
}
