/** The keyboard. Whoever types, or works a menu, a dialog or another button, keeps the keys that mean something there. */

const TYPING = 'input:not([type="range"]):not([type="checkbox"]), textarea, select, [contenteditable]';
const PRESSED = "button, a, summary, [role=menuitemradio]";

/** `acts` are the player's deeds by name. */
export function listen(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest(TYPING) || event.target.closest("dialog")) return;
    const act = deed(event, acts);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function deed(event, acts) {
  const { key, target } = event;
  const volume = target.id === "volume";
  if (key === " ") return target.closest(PRESSED) ? null : acts.toggle;
  if (/^[0-9]$/.test(key)) return () => acts.tenth(Number(key));
  switch (key) {
    case "ArrowLeft":
      return volume ? null : () => acts.skip(-5);
    case "ArrowRight":
      return volume ? null : () => acts.skip(5);
    case "ArrowUp":
      return volume ? null : () => acts.louder(0.05);
    case "ArrowDown":
      return volume ? null : () => acts.louder(-0.05);
    case "Home":
      return target.id === "position" ? () => acts.tenth(0) : null;
    case "<":
      return () => acts.faster(-1);
    case ">":
      return () => acts.faster(1);
    case "?":
      return acts.help;
    default:
      return letters(key.toLowerCase(), acts);
  }
}

function letters(key, acts) {
  return {
    k: acts.toggle,
    j: () => acts.skip(-10),
    l: () => acts.skip(10),
    f: acts.full,
    m: acts.mute,
    c: acts.captions,
    p: acts.pip,
  }[key];
}
