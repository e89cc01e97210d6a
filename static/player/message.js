/** Says why there is nothing to play, and tries again by itself where that can help. */

const MOST = 60; // seconds between two tries

export class Message {
  /** `again()` loads the video once more. */
  constructor(box, again) {
    this.box = box;
    this.again = again;
    this.tries = 0;
    this.timer = null;
    box.querySelector(".again").addEventListener("click", () => this.#go());
  }

  show({ title, detail, next, wait }) {
    this.hide();
    for (const [place, text] of [["h2", title], [".detail", detail], [".next", next]]) {
      const element = this.box.querySelector(place);
      // The alert is read aloud once, not with every try that ends the same way.
      if (element.textContent !== text) element.textContent = text;
    }
    this.box.hidden = false;
    if (wait !== null) this.#count(Math.min(MOST, Math.round(wait * 1.4 ** this.tries)));
    else this.#left("");
  }

  hide() {
    clearInterval(this.timer);
    this.box.hidden = true;
  }

  /** It plays: the next trouble begins with short waits. */
  calm() {
    this.tries = 0;
  }

  #count(seconds) {
    const due = performance.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((due - performance.now()) / 1000);
      if (left <= 0) this.#go();
      else this.#left(`Trying again in ${left} s`);
    };
    tick();
    this.timer = setInterval(tick, 500);
  }

  #left(text) {
    this.box.querySelector(".countdown").textContent = text;
  }

  #go() {
    clearInterval(this.timer);
    this.tries += 1;
    this.#left("Trying …");
    this.again();
  }
}
