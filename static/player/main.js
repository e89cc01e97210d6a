/** The player's page: ties the parts together. */

import { Captions } from "./captions.js";
import { Controls, SPEEDS } from "./controls.js";
import { download, help, wire } from "./dialogs.js";
import { listen } from "./keys.js";
import { keepPlace, placeOf } from "./memory.js";
import { Menu } from "./menu.js";
import { Message } from "./message.js";
import { Preview } from "./preview.js";
import { Source } from "./source.js";
import { clock, seconds } from "./text.js";

const config = JSON.parse(document.getElementById("player-config").textContent);
const part = (id) => document.getElementById(id);
const video = part("video");
const asked = seconds(new URLSearchParams(location.search).get("t"));
let version = config.versions.find((one) => one.stream === config.stream) || {
  stream: config.stream,
  watch: config.watch,
};
let toastTimer;

/** For the eyes a note over the picture, for ears the status. */
function said(text) {
  part("status").textContent = text;
  const toast = part("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    toast.hidden = true;
  }, 1500);
}

const source = new Source(video, config.hls);
const message = new Message(part("message"), () => load(lastPlace(), wasPlaying));
let menus = null; // made last: they show what the other parts know
const captions = new Captions(video, part("cues"), () => showMenus());
const controls = new Controls(video, said);
new Preview(part("preview"), part("position"), video, config.storyboard);
menus = {
  captions: new Menu(part("captions"), "Captions", (number) => {
    captions.choose(number);
    showMenus();
    said(number < 0 ? "Captions off" : `Captions: ${captions.choices[number + 1].label}`);
  }),
  speed: new Menu(part("speed"), "Speed", (rate) => controls.speed(rate)),
  quality: new Menu(part("quality"), "Quality", (value) => chooseQuality(value)),
};
let wasPlaying = false;
let place = 0; // the last one that was seen, for when the element has lost it

function lastPlace() {
  return video.currentTime || place;
}

function load(at, play) {
  part("spinner").hidden = false;
  return source.load(version.stream, at, play);
}

/** Levels of a stream; else the other resolutions of this episode that are archived. */
function qualities() {
  const { levels } = source;
  if (levels.length) {
    const now = levels.find((level) => level.id === source.playing);
    const automatic = { value: -1, label: now && source.level < 0 ? `Auto (${now.label})` : "Auto" };
    return [[automatic, ...levels.map(({ id, label }) => ({ value: id, label }))], source.level];
  }
  if (source.kind !== "file" || config.versions.length < 2) return [[], null];
  return [config.versions.map(({ stream, label }) => ({ value: stream, label })), version.stream];
}

function chooseQuality(value) {
  if (typeof value === "number") {
    source.level = value;
    showMenus();
  } else if (value !== version.stream) {
    version = config.versions.find((one) => one.stream === value);
    history.replaceState(null, "", version.watch + location.search);
    load(lastPlace(), !video.paused);
  }
  said(`Quality: ${value === -1 ? "by the connection" : menus.quality.list.querySelector('[aria-checked="true"]')?.textContent || version.label}`);
}

function showMenus() {
  if (!menus) return;
  const [choices, chosen] = qualities();
  part("quality").hidden = choices.length < 2;
  menus.quality.show(choices, chosen);
  part("captions").hidden = !captions.tracks.length;
  part("captions").classList.toggle("on", captions.shown >= 0);
  menus.captions.show(captions.choices, captions.shown);
  menus.speed.show(
    SPEEDS.map((rate) => ({ value: rate, label: rate === 1 ? "Normal" : `${rate}×` })),
    video.playbackRate,
  );
}

function resume() {
  const left = asked === null ? placeOf(config.place) : 0;
  if (!left) return asked || 0;
  const note = part("resumed");
  note.querySelector("span").textContent = `Going on at ${clock(left)}.`;
  note.hidden = false;
  const over = () => {
    note.hidden = true;
  };
  note.querySelector("button").addEventListener("click", () => {
    over();
    video.currentTime = 0;
    place = 0;
    part("play").focus({ focusVisible: false });
  });
  video.addEventListener("playing", () => setTimeout(over, 6000), { once: true });
  part("status").textContent = note.querySelector("span").textContent;
  return left;
}

function keep() {
  if (video.readyState) keepPlace(config.place, video.currentTime, video.duration);
}

source.addEventListener("problem", (event) => {
  wasPlaying = !video.paused || wasPlaying;
  part("spinner").hidden = true;
  controls.ready(false);
  message.show(event.detail);
});
source.addEventListener("levels", showMenus);
source.addEventListener("kind", showMenus);
source.addEventListener("waiting", () => controls.ready(true));
video.addEventListener("loadedmetadata", () => {
  message.hide();
  controls.ready(true);
  part("spinner").hidden = true;
  showMenus();
});
video.addEventListener("ratechange", showMenus);
video.addEventListener("play", () => {
  wasPlaying = true;
});
video.addEventListener("pause", () => {
  if (video.readyState) wasPlaying = false;
  keep();
});
let kept = 0;
video.addEventListener("timeupdate", () => {
  if (video.currentTime) place = video.currentTime;
  if (!source.failures && !video.paused) message.calm();
  if (performance.now() - kept < 4000) return;
  kept = performance.now();
  keep();
});
video.addEventListener("seeked", keep);
window.addEventListener("pagehide", keep);

listen({
  toggle: () => controls.toggle(),
  skip: (by) => controls.skip(by),
  tenth: (number) => controls.tenth(number),
  louder: (by) => controls.louder(by),
  mute: () => controls.mute(),
  faster: (steps) => controls.faster(steps),
  full: () => controls.full(),
  pip: () => controls.pip(),
  captions: () => {
    said(captions.toggle());
    showMenus();
  },
  help,
});
wire(video, () => version.watch);
if (config.download) {
  const start = () => download(config.download, said);
  part("download")?.addEventListener("click", start);
  const button = part("message").querySelector(".save");
  button.hidden = false;
  button.addEventListener("click", start);
}
showMenus();
place = resume();
load(place, false);
