/** Which captions are shown: those beside the video, and those of a stream, are text tracks of the element alike. */

import { taste } from "./memory.js";
import { trackName } from "./text.js";

const KINDS = new Set(["subtitles", "captions"]);
const LINE = 0.0533; // of the picture's height: WebVTT §7.2

export class Captions {
  /** `changed()` is called when tracks come or another is chosen. */
  constructor(video, controls, changed) {
    this.video = video;
    this.controls = controls;
    this.wanted = taste.get().captions || "";
    this.lifted = false;
    const list = video.textTracks;
    for (const track of list) this.#follow(track);
    list.addEventListener("addtrack", (event) => {
      this.#follow(event.track);
      this.#restore();
      changed();
    });
    list.addEventListener("removetrack", changed);
    list.addEventListener("change", changed);
    this.#restore();
  }

  get tracks() {
    return [...this.video.textTracks].filter((track) => KINDS.has(track.kind));
  }

  /** The number of the one that is shown, or -1. */
  get shown() {
    return this.tracks.findIndex((track) => track.mode === "showing");
  }

  /** [{value, label}] for a menu. */
  get choices() {
    return [{ value: -1, label: "Off" }, ...this.tracks.map((track, at) => ({ value: at, label: trackName(track, at) }))];
  }

  choose(number) {
    const tracks = this.tracks;
    tracks.forEach((track, at) => {
      track.mode = at === number ? "showing" : "disabled";
    });
    if (tracks[number]) this.last = number;
    this.wanted = tracks[number] ? this.#name(number) : "";
    taste.set({ captions: this.wanted });
    this.#lift();
  }

  /** On with those that were shown last, or the first ones; or off. Returns what is shown now, for people. */
  toggle() {
    if (!this.tracks.length) return "There are no captions";
    this.choose(this.shown >= 0 ? -1 : Math.min(this.last ?? 0, this.tracks.length - 1));
    return this.shown >= 0 ? `Captions: ${trackName(this.tracks[this.shown], this.shown)}` : "Captions off";
  }

  /** Moves the captions that stand at the bottom above the controls, or back. */
  lift(up) {
    this.lifted = up;
    this.#lift();
  }

  #name(number) {
    const track = this.tracks[number];
    return track.language && track.language !== "und" ? track.language : trackName(track, number);
  }

  /** Shows again what the viewer had chosen for another video. */
  #restore() {
    if (!this.wanted || this.shown >= 0) return;
    const at = this.tracks.findIndex((_, number) => this.#name(number) === this.wanted);
    if (at >= 0) this.choose(at);
  }

  #follow(track) {
    track.addEventListener("cuechange", () => this.#lift());
  }

  #lift() {
    const line = LINE * (this.video.clientHeight || 1);
    const rows = Math.ceil(this.controls.offsetHeight / line);
    for (const track of this.tracks) {
      for (const cue of track.activeCues || []) {
        cue.rkOwn ??= cue.line; // where its author put it
        if (cue.rkOwn === "auto") cue.line = this.lifted ? -1 - rows : "auto";
      }
    }
  }
}
