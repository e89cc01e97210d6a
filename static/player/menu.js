/** A button that opens a list of choices, one of which is chosen (WAI-ARIA: menu button with menuitemradio). */

export class Menu {
  /** `choose(value)` is called when the viewer picks one. */
  constructor(button, title, choose) {
    this.button = button;
    this.choose = choose;
    this.list = document.createElement("div");
    this.list.className = "list";
    this.list.id = `${button.id}-menu`;
    this.list.hidden = true;
    this.list.setAttribute("role", "menu");
    this.list.setAttribute("aria-label", title);
    button.setAttribute("aria-haspopup", "menu");
    button.setAttribute("aria-controls", this.list.id);
    button.setAttribute("aria-expanded", "false");
    button.after(this.list);
    button.addEventListener("click", () => this.toggle());
    button.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#take(event, () => this.toggle(true));
    });
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("focusout", (event) => {
      if (!this.list.contains(event.relatedTarget) && event.relatedTarget !== button) this.toggle(false, false);
    });
    document.addEventListener("pointerdown", (event) => {
      if (!button.parentElement.contains(event.target)) this.toggle(false, false);
    });
  }

  get open() {
    return !this.list.hidden;
  }

  /** The choices, [{value, label}], and the one that is chosen now. */
  show(choices, chosen) {
    const focused = this.#items().indexOf(document.activeElement);
    this.list.replaceChildren(
      ...choices.map(({ value, label }) => {
        const item = document.createElement("button");
        item.type = "button";
        item.tabIndex = -1;
        item.setAttribute("role", "menuitemradio");
        item.setAttribute("aria-checked", String(value === chosen));
        item.textContent = label;
        item.addEventListener("click", () => {
          this.toggle(false);
          this.choose(value);
        });
        return item;
      }),
    );
    if (focused >= 0) this.#items()[Math.min(focused, choices.length - 1)]?.focus();
  }

  /** Opens or closes it; focus goes to what is chosen, and back to the button. */
  toggle(open = !this.open, focus = true) {
    if (open === this.open) return;
    this.list.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (!focus) return;
    const items = this.#items();
    if (open) (items.find((item) => item.getAttribute("aria-checked") === "true") || items[0])?.focus();
    else this.button.focus();
  }

  #items() {
    return [...this.list.children];
  }

  #key(event) {
    const items = this.#items();
    const at = items.indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key in moves) {
      this.#take(event, () => items[(moves[event.key] + items.length) % items.length].focus());
    } else if (event.key === "Escape") {
      this.#take(event, () => this.toggle(false));
    } else if (event.key === "Tab") {
      this.toggle(false, false);
    }
  }

  #take(event, act) {
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}
