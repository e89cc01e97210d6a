/** Times and names as people read them. */

/** m:ss or h:mm:ss. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "0:00";
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** The seconds that `?t=` means: 90, 90s, 1m30s, 1:30, 1:02:03. Null for anything else. */
export function seconds(text) {
  if (!text) return null;
  if (/^\d+(:[0-5]?\d){1,2}$/.test(text)) return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?$/.exec(text);
  if (!parts) return null;
  const [hours, minutes, rest] = parts.slice(1).map((part) => Number(part || 0));
  return hours * 3600 + minutes * 60 + rest;
}

/** The name of a text track: its label, else its language's, else its number. */
export function trackName(track, number) {
  if (track.label) return track.label;
  const code = track.language;
  if (code && code !== "und") {
    try {
      return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code);
    } catch {
      return code; // not a language tag: the source's own word for it
    }
  }
  return `Captions ${number + 1}`;
}
