// Times as people say them. All take and give Unix seconds.

const STEPS: [number, string][] = [
  [365 * 86_400, "y"],
  [30 * 86_400, "mo"],
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A length of time in its largest unit: "45 s", "3 h", "12 d". */
export function duration(seconds: number): string {
  const size = Math.abs(Math.trunc(seconds));
  for (const [length, unit] of STEPS) {
    // Two of a unit before it is used: "90 min" says more than "1 h", "18 mo" more than "1 y".
    const enough = unit === "s" ? length : unit === "min" ? length : length * 2;
    if (size >= enough) return `${Math.trunc(size / length)}\u00a0${unit}`;
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
