// Times as people say them. All take and give Unix seconds.

/** Units, each with its length and how many of it there must be before it is used: "90 min" says more than "1 h". */
const STEPS: [string, number, number][] = [
  ["y", 365 * 86_400, 2],
  ["mo", 30 * 86_400, 4],
  ["d", 86_400, 2],
  ["h", 3600, 2],
  ["min", 60, 1],
  ["s", 1, 1],
];

/** A length of time in its largest unit: "45 s", "3 h", "12 d". */
export function duration(seconds: number): string {
  const size = Math.abs(Math.trunc(seconds));
  for (const [unit, length, least] of STEPS) {
    if (size >= length * least) return `${Math.trunc(size / length)}\u00a0${unit}`;
  }
  return "0\u00a0s";
}

/** A moment seen from now: "12 s ago", "in 3 d", "now". */
export function relative(at: number, now: number): string {
  const ahead = at - now;
  if (Math.abs(ahead) < 1) return "now";
  return ahead > 0 ? `in ${duration(ahead)}` : `${duration(ahead)} ago`;
}

/** A moment in full, in the viewer's time zone. */
export function full(at: number): string {
  return new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** RFC 3339 with nanoseconds, as the chain writes it, to Unix seconds with fraction. */
export function parseTime(text: unknown): number | undefined {
  if (typeof text !== "string" || !/^\d{4}-\d\d-\d\dT/.test(text)) return undefined;
  const ms = Date.parse(text.replace(/(\.\d{3})\d+/, "$1"));
  return Number.isNaN(ms) ? undefined : ms / 1000;
}
