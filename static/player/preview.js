/** The time under the pointer on the seek bar and, where the video has a storyboard, the picture there. */

import { clock } from "./text.js";

const CUE = /^(?:(\d+):)?(\d+):(\d+)[.,](\d{3})\s+-->\s+(?:(\d+):)?(\d+):(\d+)[.,](\d{3})/;
const REGION = /#xywh=(?:pixel:)?(\d+),(\d+),(\d+),(\d+)$/;
const WIDTH = 180;

const secondsOf = ([hours, minutes, rest, parts]) => Number(hours || 0) * 3600 + minutes * 60 + +rest + parts / 1000;

/** The cues of a storyboard that can be shown: [{start, end, picture, x, y, width, height}]. */
export function cuesOf(text, pictures) {
  const cues = [];
  for (const block of text.replace(/\r\n?/g, "\n").split(/\n{2,}/)) {
    const lines = block.split("\n");
    const at = lines.findIndex((line) => CUE.test(line));
    const region = REGION.exec((lines[at + 1] || "").trim());
    if (at < 0 || !region) continue;
    const times = CUE.exec(lines[at]).slice(1);
    const name = lines[at + 1].trim().split("#")[0].split("/").pop();
    const picture = pictures[name];
    const [x, y, width, height] = region.slice(1).map(Number);
    if (!picture || !width || !height) continue;
    cues.push({ start: secondsOf(times.slice(0, 4)), end: secondsOf(times.slice(4)), picture, x, y, width, height });
  }
  return cues;
}

export class Preview {
  constructor(box, slider, video, storyboard) {
    Object.assign(this, { box, slider, video, storyboard });
    this.picture = box.querySelector(".picture");
    this.label = box.querySelector("span");
    this.cues = null;
    slider.addEventListener("pointermove", (event) => this.#show(event));
    slider.addEventListener("pointerleave", () => {
      box.hidden = true;
    });
  }

  #show(event) {
    const length = this.video.duration;
    if (!Number.isFinite(length) || event.pointerType === "touch") return;
    const track = this.slider.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - track.left) / track.width));
    this.box.hidden = false;
    this.label.textContent = clock(share * length);
    this.#paint(share * length);
    const half = this.box.offsetWidth / 2;
    this.box.style.left = `${Math.min(track.width - half, Math.max(half, share * track.width))}px`;
  }

  /** The index is fetched when it is first needed; without one there are only times. */
  async #fetch() {
    this.cues = [];
    try {
      const answer = await fetch(this.storyboard.url);
      if (answer.ok) this.cues = cuesOf(await answer.text(), this.storyboard.pictures);
    } catch (error) {
      console.warn("The storyboard can't be fetched:", error.message);
    }
  }

  #paint(at) {
    if (this.storyboard && !this.cues) this.#fetch();
    const cue = (this.cues || []).find((one) => one.start <= at && at < one.end);
    this.picture.hidden = !cue;
    if (!cue) return;
    const scale = WIDTH / cue.width;
    const { style } = this.picture;
    style.width = `${cue.width}px`;
    style.height = `${cue.height}px`;
    style.zoom = String(scale);
    style.backgroundImage = `url("${cue.picture}")`;
    style.backgroundPosition = `-${cue.x}px -${cue.y}px`;
  }
}
