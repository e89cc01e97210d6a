/** Plays a stream URL in a video element: a playlist by hls.js where that works, else whatever the browser can. */

import { look, problem, UNPLAYABLE } from "./look.js";

const NETWORK = 2; // MediaError.MEDIA_ERR_NETWORK
const TRIES = 4; // at one place of the video
const BEYOND = 5; // seconds after that place, from which on the trouble is over

export class Source extends EventTarget {
  /** Events: "problem" (detail: Problem), "levels" (they or the current one changed), "kind". */
  constructor(video, hls) {
    super();
    this.video = video;
    this.files = hls;
    this.hls = null;
    this.kind = null;
    this.url = null;
    this.failures = 0;
    this.failedAt = 0;
    this.run = 0;
    video.addEventListener("error", () => this.#failed());
    video.addEventListener("timeupdate", () => {
      if (video.currentTime > this.failedAt + BEYOND) this.failures = 0;
    });
  }

  /** Plays this URL from `at` seconds on. */
  async load(url, at = 0, play = false) {
    this.stop();
    const run = this.run;
    this.url = url;
    this.wanted = { at, play };
    const found = await look(url);
    if (run !== this.run) return;
    if (found.problem) {
      this.#say(found.problem);
      return;
    }
    this.kind = found.kind;
    this.dispatchEvent(new Event("kind"));
    if (found.kind === "hls" && (await this.#byHls(url, run))) return;
    if (run === this.run) this.#byBrowser(url);
  }

  /** Lets go of what is loaded. */
  stop() {
    this.run += 1;
    this.hls?.destroy();
    this.hls = null;
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
  }

  /** [{id, label}], the best first; empty for a file or a stream with one. */
  get levels() {
    if (!this.hls || this.hls.levels.length < 2) return [];
    const heights = this.hls.levels.map((level) => level.height);
    const rate = (level) => `${Math.max(0.1, level.bitrate / 1e6).toFixed(1)} Mbit/s`;
    const name = (level) => {
      if (!level.height) return rate(level);
      const alone = heights.filter((height) => height === level.height).length === 1;
      return alone ? `${level.height}p` : `${level.height}p, ${rate(level)}`;
    };
    return this.hls.levels.map((level, id) => ({ id, label: name(level), bitrate: level.bitrate })).reverse();
  }

  /** The level that was chosen; -1: by the connection. */
  get level() {
    return this.hls && !this.hls.autoLevelEnabled ? this.hls.nextLevel : -1;
  }

  set level(id) {
    if (this.hls) this.hls.nextLevel = id;
  }

  /** The level that plays now. */
  get playing() {
    return this.hls ? this.hls.currentLevel : -1;
  }

  async #byHls(url, run) {
    const { default: Hls } = await import(this.files.script);
    if (run !== this.run) return true;
    // Asked before canPlayType: Chromium says "maybe" to playlists and then plays few of them.
    if (!Hls.isSupported()) return false;
    this.Hls = Hls;
    this.hls = new Hls(this.#config(Hls));
    const changed = () => this.dispatchEvent(new Event("levels"));
    this.hls.subtitleDisplay = false; // captions.js draws them
    this.hls.on(Hls.Events.MANIFEST_PARSED, () => {
      changed();
      this.#start();
    });
    this.hls.on(Hls.Events.LEVEL_SWITCHED, changed);
    this.hls.on(Hls.Events.ERROR, (_name, data) => {
      if (data.fatal) this.#hlsFailed(data);
    });
    this.hls.loadSource(url);
    this.hls.attachMedia(this.video);
    return true;
  }

  /** Of hls.js. A segment that fails is asked for four times in four seconds, then in the other levels. */
  #config(Hls) {
    const segments = Hls.DefaultConfig.fragLoadPolicy.default;
    const errorRetry = { maxNumRetry: 3, retryDelayMs: 500, maxRetryDelayMs: 2000 };
    return {
      workerPath: this.files.worker,
      startPosition: this.wanted.at || -1,
      backBufferLength: 60,
      fragLoadPolicy: { default: { ...segments, errorRetry } },
    };
  }

  #byBrowser(url) {
    const { at } = this.wanted;
    if (at) {
      const seek = () => {
        this.video.currentTime = at;
      };
      this.video.addEventListener("loadedmetadata", seek, { once: true });
    }
    this.video.src = url;
    this.#start();
  }

  #start() {
    // Refused without a click of the viewer: then the play button waits.
    if (this.wanted.play) this.video.play().catch(() => this.dispatchEvent(new Event("waiting")));
  }

  /** Nothing goes on behind the message. */
  #say(what) {
    this.stop();
    this.dispatchEvent(new CustomEvent("problem", { detail: what }));
  }

  async #hlsFailed(data) {
    const run = this.run;
    this.#count();
    const { ErrorTypes } = this.Hls;
    if (data.type === ErrorTypes.MEDIA_ERROR && this.failures < TRIES) {
      this.hls.recoverMediaError();
    } else if (data.type !== ErrorTypes.NETWORK_ERROR) {
      this.#say(UNPLAYABLE);
    } else {
      // It has tried again itself: see #config.
      const found = await look(this.url); // the server knows better why
      if (run !== this.run) return;
      const status = data.response?.code ? ` (status ${data.response.code})` : "";
      this.#say(found.problem || problem(502, { detail: `A part of the stream can't be fetched${status}.` }, null));
    }
  }

  /** The file under this URL may have changed since it was opened: from its source to the archive, or to another copy. */
  async #failed() {
    const error = this.video.error;
    if (!error || this.hls || !this.video.hasAttribute("src")) return;
    const run = this.run;
    this.#count();
    const found = await look(this.url);
    if (run !== this.run) return;
    if (found.problem) this.#say(found.problem);
    else if (this.failures < (error.code === NETWORK ? TRIES : 2)) this.#again();
    else this.#say(UNPLAYABLE);
  }

  #count() {
    this.failures += 1;
    this.failedAt = this.video.currentTime || this.wanted.at;
  }

  #again() {
    const at = this.video.currentTime || this.wanted.at;
    this.load(this.url, at, this.wanted.play || !this.video.paused);
  }
}
