// Plays the URL of ?src=…, with hls.js when it is a playlist (unless ?native=1), and keeps in `seen` what happens.
import Hls from "/hls.js/hls.min.mjs";

const parameters = new URLSearchParams(location.search);
const source = parameters.get("src");
const video = document.getElementById("video");
// A wait, and what hls.js itself stopped loading because of a seek or another rung.
const harmless = new Set(["bufferStalledError", "bufferNudgeOnStall", "bufferSeekOverHole", "aborted"]);
const seen = { status: 0, type: "", errors: [], sizes: [], ended: false };
Object.assign(window, { seen, video });

video.addEventListener("error", () => seen.errors.push(`media error ${video.error.code}: ${video.error.message}`));
video.addEventListener("resize", () => seen.sizes.push(video.videoHeight));
video.addEventListener("ended", () => { seen.ended = true; });

function playStream() {
  const hls = new Hls({ enableWorker: false, startLevel: 0, maxBufferLength: 2, maxMaxBufferLength: 2 });
  window.hls = hls;
  hls.on(Hls.Events.ERROR, (_event, data) => {
    if (data.fatal || !harmless.has(data.details)) seen.errors.push(`hls.js ${data.type} ${data.details} ${data.response?.code ?? ""}`);
  });
  hls.loadSource(source);
  hls.attachMedia(video);
}

try {
  const head = await fetch(source, { method: "HEAD" });
  seen.status = head.status;
  seen.type = head.headers.get("Content-Type") ?? "";
  if (seen.type.includes("mpegurl") && !parameters.get("native")) {
    playStream();
  } else {
    video.crossOrigin = "anonymous";
    video.src = source;
  }
  await video.play();
} catch (error) {
  seen.errors.push(String(error));
}
