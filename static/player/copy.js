/** Copies a text and says so on the button. In the admin: every button with data-copy (a path of this site or a text). */

/** True when it is copied. */
export async function copy(button, text) {
  const good = await write(button, text);
  button.dataset.words ??= button.textContent;
  button.textContent = good ? "Copied" : "Press Ctrl+C to copy";
  setTimeout(() => {
    button.textContent = button.dataset.words;
  }, 2500);
  return good;
}

async function write(button, text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return byHand(button, text); // refused: the old way
    }
  }
  return byHand(button, text); // pages over plain HTTP have no clipboard
}

function byHand(button, text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  button.after(area);
  area.select();
  const good = document.execCommand("copy");
  area.remove();
  button.focus();
  return good;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button, new URL(button.dataset.copy, location.href).href);
});
