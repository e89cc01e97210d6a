/** The bar of the player: what its buttons and sliders do, and what they show. */

import { taste } from "./memory.js";
import { clock } from "./text.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const IDLE = 3000; // milliseconds after which the bar of a playing video goes

const part = (id) => document.getElementById(id);

function face(button, icon, label, key) {
  button.querySelector("use").setAttribute("href", `#i-${icon}`);
  button.setAttribute("aria-label", label);
  button.title = key ? `${label} (${key})` : label;
}

export class Controls {
  /** `said(text)` tells people what a key or a button did. */
  constructor(video, said) {
    this.video = video;
    this.said = said;
    this.box = part("player");
    this.position = part("position");
    this.dragging = false;
    const kept = taste.get();
    if (Number.isFinite(kept.volume)) video.volume = Math.min(1, Math.max(0, kept.volume));
    video.muted = kept.muted === true;
    video.defaultPlaybackRate = SPEEDS.includes(kept.speed) ? kept.speed : 1;
    video.playbackRate = video.defaultPlaybackRate;
    this.#wireVideo();
    this.#wireButtons();
    this.#wireIdling();
    this.#volume();
  }

  toggle() {
    if (this.video.paused) this.video.play().catch((error) => this.said(`It can't start: ${error.message}`));
    else this.video.pause();
  }

  skip(seconds) {
    const { video } = this;
    if (!Number.isFinite(video.duration)) return;
    video.currentTime = Math.min(video.duration, Math.max(0, video.currentTime + seconds));
    this.said(`${seconds < 0 ? "Back" : "On"} ${Math.abs(seconds)} seconds: ${clock(video.currentTime)}`);
  }

  tenth(number) {
    const { video } = this;
    if (Number.isFinite(video.duration)) video.currentTime = (video.duration * number) / 10;
  }

  louder(by) {
    const { video } = this;
    video.muted = false;
    video.volume = Math.min(1, Math.max(0, Math.round((video.volume + by) * 100) / 100));
    this.said(`Volume ${Math.round(video.volume * 100)} %`);
  }

  mute() {
    this.video.muted = !this.video.muted;
    this.said(this.video.muted ? "Sound off" : "Sound on");
  }

  speed(rate) {
    this.video.defaultPlaybackRate = rate; // also for what is loaded next
    this.video.playbackRate = rate;
    taste.set({ speed: rate });
    this.said(`Speed ${rate}×`);
  }

  faster(steps) {
    const at = SPEEDS.indexOf(this.video.playbackRate);
    this.speed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, (at < 0 ? SPEEDS.indexOf(1) : at) + steps))]);
  }

  async full() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.box.requestFullscreen) await this.box.requestFullscreen();
      else this.video.webkitEnterFullscreen();
    } catch (error) {
      this.said(`There is no full screen here: ${error.message}`);
    }
  }

  async pip() {
    if (!document.pictureInPictureEnabled) return;
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.video.requestPictureInPicture();
    } catch (error) {
      this.said(`There is no picture in picture now: ${error.message}`);
    }
  }

  /** Shows or hides all of it: there is nothing to control while there is nothing to play. */
  ready(yes) {
    part("controls").hidden = !yes;
    part("big-play").hidden = !yes || !this.video.paused || this.video.played.length > 0;
  }

  #wireVideo() {
    const { video } = this;
    const on = (names, act) => names.split(" ").forEach((name) => video.addEventListener(name, act));
    on("play pause ended emptied", () => this.#playing());
    on("timeupdate durationchange seeked progress emptied", () => this.#time());
    on("volumechange", () => {
      taste.set({ volume: video.volume, muted: video.muted });
      this.#volume();
    });
    on("waiting seeking", () => {
      part("spinner").hidden = video.paused && !video.seeking;
    });
    on("playing canplay seeked emptied error", () => {
      part("spinner").hidden = true;
    });
  }

  #wireButtons() {
    const { video } = this;
    part("play").addEventListener("click", () => this.toggle());
    part("big-play").addEventListener("click", () => {
      this.toggle();
      part("play").focus({ focusVisible: false });
    });
    part("mute").addEventListener("click", () => this.mute());
    part("full").addEventListener("click", () => this.full());
    part("pip").addEventListener("click", () => this.pip());
    part("pip").hidden = !document.pictureInPictureEnabled;
    part("volume").addEventListener("input", (event) => {
      video.muted = false;
      video.volume = Number(event.target.value);
    });
    this.position.addEventListener("input", () => {
      this.dragging = true;
      this.#paint(Number(this.position.value) * video.duration);
    });
    this.position.addEventListener("change", () => {
      this.dragging = false;
      if (Number.isFinite(video.duration)) video.currentTime = Number(this.position.value) * video.duration;
    });
    document.addEventListener("fullscreenchange", () => {
      const whole = Boolean(document.fullscreenElement);
      face(part("full"), whole ? "small" : "full", whole ? "Leave full screen" : "Full screen", "f");
    });
    this.#wirePicture();
  }

  /** A click plays and pauses, a double one fills the screen; a finger shows the bar. */
  #wirePicture() {
    const { video } = this;
    let finger = false;
    video.addEventListener("pointerdown", (event) => {
      finger = event.pointerType === "touch";
    });
    video.addEventListener("click", () => {
      if (!finger) this.toggle();
    });
    video.addEventListener("dblclick", () => {
      if (!finger) this.full();
    });
  }

  #wireIdling() {
    const wake = () => {
      clearTimeout(this.idling);
      this.#idle(false);
      this.idling = setTimeout(() => this.#idle(true), IDLE);
    };
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) this.box.addEventListener(name, wake);
    this.box.addEventListener("pointerleave", () => this.#idle(true));
    this.video.addEventListener("play", wake);
    this.video.addEventListener("pause", wake);
    document.addEventListener("keydown", wake);
    wake();
  }

  #idle(wanted) {
    const { box, video } = this;
    const used = box.querySelector('[aria-expanded="true"], .controls :focus-visible') || this.dragging;
    box.classList.toggle("idle", wanted && !video.paused && !used);
  }

  #playing() {
    const { video } = this;
    if (video.ended) face(part("play"), "again", "Play again", "k");
    else face(part("play"), video.paused ? "play" : "pause", video.paused ? "Play" : "Pause", "k");
    if (!video.paused) part("big-play").hidden = true;
  }

  #time() {
    const { video } = this;
    const length = Number.isFinite(video.duration) ? video.duration : 0;
    part("length").textContent = video.duration === Infinity ? "Live" : clock(length);
    this.position.disabled = !length;
    if (this.dragging) return;
    this.position.value = String(length ? video.currentTime / length : 0);
    this.#paint(video.currentTime);
  }

  #paint(at) {
    const { video, position } = this;
    const length = Number.isFinite(video.duration) ? video.duration : 0;
    let loaded = 0;
    for (let part = 0; part < video.buffered.length; part += 1) {
      if (video.buffered.start(part) <= at + 0.5) loaded = Math.max(loaded, video.buffered.end(part));
    }
    part("now").textContent = clock(at);
    position.setAttribute("aria-valuetext", `${clock(at)} of ${clock(length)}`);
    position.style.setProperty("--played", `${length ? (at / length) * 100 : 0}%`);
    position.style.setProperty("--loaded", `${length ? (loaded / length) * 100 : 0}%`);
  }

  #volume() {
    const { video } = this;
    const silent = video.muted || video.volume === 0;
    const slider = part("volume");
    slider.value = String(video.muted ? 0 : video.volume);
    slider.setAttribute("aria-valuetext", silent ? "off" : `${Math.round(video.volume * 100)} %`);
    slider.style.setProperty("--played", `${slider.value * 100}%`);
    face(part("mute"), silent ? "muted" : "sound", silent ? "Sound on" : "Mute", "m");
  }
}
