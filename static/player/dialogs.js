/** Help, sharing and downloading. */

import { copy } from "./copy.js";
import { characters } from "./keys.js";
import { clock } from "./text.js";

const part = (id) => document.getElementById(id);

/** Shows the keys. */
export function help() {
  const dialog = part("help-dialog");
  if (dialog.open) return;
  part("characters").checked = characters.on;
  dialog.showModal();
}

/** Buttons of the page; the embedded player has none of them but help. `place()` gives the page's path. */
export function wire(video, place) {
  for (const button of document.querySelectorAll(".open-help")) button.addEventListener("click", help);
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }
  part("characters").addEventListener("change", (event) => {
    characters.on = event.target.checked;
  });
  if (part("share")) wireSharing(video, place);
}

function wireSharing(video, place) {
  const link = part("share-link");
  const timed = part("share-time");
  const write = () => {
    const at = Math.floor(video.currentTime);
    const url = new URL(place(), location.href);
    if (timed.checked && at) url.searchParams.set("t", String(at));
    part("share-at").textContent = clock(at);
    link.value = url.href;
  };
  part("share").addEventListener("click", () => {
    write();
    part("share-dialog").showModal();
    link.select();
  });
  timed.addEventListener("change", write);
  part("share-copy").addEventListener("click", (event) => copy(event.currentTarget, link.value));
}

/** Asks for a link to the file and goes there; `said(text)` tells why it can't. */
export async function download(path, said) {
  try {
    const answer = await fetch(path);
    const body = await answer.json();
    if (!answer.ok) {
      said(body.detail);
      return;
    }
    const url = new URL(body.url);
    location.assign(url.pathname + url.search); // of the host that this page came from
  } catch {
    said("The download can't be started: the server can't be reached. Try again.");
  }
}
