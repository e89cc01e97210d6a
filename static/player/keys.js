/**
 * The keyboard. Whoever types, or works a menu, a slider, a dialog or another button, keeps the keys that mean
 * something there. Keys of one character can be turned off (WCAG 2.1.4): a voice that dictates presses them, too.
 */

import { taste } from "./memory.js";

const TYPING = 'input:not([type="range"]):not([type="checkbox"]), textarea, select, [contenteditable]';
const SLIDER = 'input[type="range"]';
const PRESSED = "button, a, summary, [role=menuitemradio]";

/** Do the keys of one character work? That is the viewer's choice, for all videos. */
export const characters = {
  get on() {
    return taste.get().keys !== false;
  },
  set on(wanted) {
    taste.set({ keys: wanted });
  },
};

/** `acts` are the player's deeds by name. */
export function listen(acts) {
  const once = new Set([acts.toggle, acts.full, acts.mute, acts.captions, acts.pip, acts.help]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest(TYPING) || event.target.closest("dialog")) return;
    const act = deed(event, acts);
    if (!act) return;
    event.preventDefault();
    if (!(event.repeat && once.has(act))) act();
  });
}

function deed({ key, target }, acts) {
  if (key === " ") return target.closest(PRESSED) ? null : acts.toggle;
  if (key.length > 1) return target.closest(SLIDER) ? null : arrows(key, acts);
  return characters.on ? character(key.toLowerCase(), acts) : null;
}

function arrows(key, acts) {
  return {
    ArrowLeft: () => acts.skip(-5),
    ArrowRight: () => acts.skip(5),
    ArrowUp: () => acts.louder(0.05),
    ArrowDown: () => acts.louder(-0.05),
  }[key];
}

function character(key, acts) {
  if (/^[0-9]$/.test(key)) return () => acts.tenth(Number(key));
  return {
    k: acts.toggle,
    j: () => acts.skip(-10),
    l: () => acts.skip(10),
    f: acts.full,
    m: acts.mute,
    c: acts.captions,
    p: acts.pip,
    "<": () => acts.faster(-1),
    ">": () => acts.faster(1),
    "?": acts.help,
  }[key];
}
