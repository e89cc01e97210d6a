/**
 * Captions: those beside the video, and those of a stream, are text tracks of the element alike. They are drawn here,
 * above the controls while these are there, for browsers draw them underneath; where the picture leaves the page
 * (picture in picture, full screen of a phone) the browser draws them.
 */

import { taste } from "./memory.js";
import { trackName } from "./text.js";

const KINDS = new Set(["subtitles", "captions"]);

export class Captions {
  /** They are drawn into `box`; `changed()` is called when tracks come or another is chosen. */
  constructor(video, box, changed) {
    this.video = video;
    this.box = box;
    this.changed = changed;
    this.track = null;
    this.away = false;
    this.wanted = taste.get().captions || "";
    const list = video.textTracks;
    list.addEventListener("addtrack", () => this.#restore());
    list.addEventListener("removetrack", () => this.#restore());
    list.addEventListener("change", () => this.#adopt());
    for (const [name, away] of [
      ["enterpictureinpicture", true], ["webkitbeginfullscreen", true],
      ["leavepictureinpicture", false], ["webkitendfullscreen", false],
    ]) {
      video.addEventListener(name, () => {
        this.away = away;
        this.#apply();
      });
    }
    this.draw = () => this.#draw();
    this.#restore();
  }

  get tracks() {
    return [...this.video.textTracks].filter((track) => KINDS.has(track.kind));
  }

  /** The number of the one that is shown, or -1. */
  get shown() {
    return this.tracks.indexOf(this.track);
  }

  /** [{value, label}] for a menu. */
  get choices() {
    return [{ value: -1, label: "Off" }, ...this.tracks.map((track, at) => ({ value: at, label: trackName(track, at) }))];
  }

  choose(number) {
    const track = this.tracks[number] || null;
    if (track) this.last = number;
    this.wanted = track ? this.#name(number) : "";
    taste.set({ captions: this.wanted });
    this.#take(track);
  }

  /** On with those that were shown last, or the first ones; or off. Returns what is shown now, for people. */
  toggle() {
    if (!this.tracks.length) return "There are no captions";
    this.choose(this.track ? -1 : Math.min(this.last ?? 0, this.tracks.length - 1));
    return this.track ? `Captions: ${trackName(this.track, this.shown)}` : "Captions off";
  }

  #name(number) {
    const track = this.tracks[number];
    return track.language && track.language !== "und" ? track.language : trackName(track, number);
  }

  #take(track) {
    this.track?.removeEventListener("cuechange", this.draw);
    this.track = track;
    track?.addEventListener("cuechange", this.draw);
    this.#apply();
    this.changed();
  }

  /** Shows again what the viewer had chosen, here or for another video. */
  #restore() {
    const at = this.wanted ? this.tracks.findIndex((_, number) => this.#name(number) === this.wanted) : -1;
    const track = this.tracks[at] || null;
    if (track !== this.track) this.#take(track);
    else this.changed();
  }

  /** A stream's own choice, or one by the browser's menu, is as good as ours. */
  #adopt() {
    const showing = this.tracks.findIndex((track) => track.mode === "showing");
    if (showing >= 0 && !this.away && this.tracks[showing] !== this.track) this.choose(showing);
    else this.#apply();
  }

  #apply() {
    const shown = this.away ? "showing" : "hidden"; // hidden: cues come, and we draw them
    for (const track of this.tracks) {
      const mode = track === this.track ? shown : "disabled";
      if (track.mode !== mode) track.mode = mode;
    }
    this.#draw();
  }

  #draw() {
    const cues = this.track && !this.away ? [...(this.track.activeCues || [])] : [];
    const places = [document.createElement("div"), document.createElement("div")]; // above, below
    for (const cue of cues.filter((one) => one.getCueAsHTML)) {
      const line = document.createElement("p");
      line.append(cue.getCueAsHTML());
      if (this.track.language && this.track.language !== "und") line.lang = this.track.language;
      line.dir = "auto";
      places[onTop(cue) ? 0 : 1].append(line);
    }
    this.box.replaceChildren(...places);
  }
}

/** Did its author put it into the upper half, because something is written below? */
function onTop(cue) {
  if (typeof cue.line !== "number") return false;
  return cue.snapToLines ? cue.line >= 0 && cue.line < 8 : cue.line < 50;
}
