// HTTP dates (RFC 9110 §5.6.7) as Django reads and writes them.

const FORMS = [
  /^\w{3}, (?<day>[0-9]{2}) (?<month>\w{3}) (?<year>[0-9]{4}) (?<time>[0-9]{2}:[0-9]{2}:[0-9]{2}) GMT$/,
  /^\w{6,9}, (?<day>[0-9]{2})-(?<month>\w{3})-(?<year>[0-9]{2}) (?<time>[0-9]{2}:[0-9]{2}:[0-9]{2}) GMT$/,
  /^\w{3} (?<month>\w{3}) (?<day>[ 0-9][0-9]) (?<time>[0-9]{2}:[0-9]{2}:[0-9]{2}) (?<year>[0-9]{4})$/,
];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** Seconds since 1970; null when it is no date. */
export function parseDate(text) {
  const parts = FORMS.map((form) => form.exec(text)?.groups).find(Boolean);
  if (!parts) return null;
  const [hour, minute, second] = parts.time.split(":").map(Number);
  const [year, day] = [fullYear(Number(parts.year)), Number(parts.day)];
  const month = MONTHS.indexOf(parts.month.toLowerCase());
  const date = new Date(Date.UTC(year, month, day, hour, minute, second));
  const exists = month >= 0 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  return exists ? date.getTime() / 1000 : null;
}

/** `seconds` since 1970, as Last-Modified has it. */
export function httpDate(seconds) {
  return new Date(seconds * 1000).toUTCString();
}

/** Of a year of two digits: what is more than 50 years ahead was in the last century. */
function fullYear(year) {
  if (year >= 100) return year;
  const now = new Date().getUTCFullYear();
  return year + now - (now % 100) - (year - (now % 100) > 50 ? 100 : 0);
}
