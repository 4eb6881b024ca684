// Reading JSON from parts of the network that may be older, newer or hostile: every reader gives a
// usable value for anything, so that one odd field costs one cell and never a page.

import { parseAmount } from "../format/amount.ts";

export type Json = Record<string, unknown>;

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list<T>(value: unknown, read: (entry: unknown) => T): T[] {
  return Array.isArray(value) ? value.map(read) : [];
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** A whole number that may exceed a double: a bigint, undefined where there is none. */
export const whole = parseAmount;

/** The same, 0 where there is none. */
export function wholeOr0(value: unknown): bigint {
  return parseAmount(value) ?? 0n;
}

/** A small number (a count, Unix seconds, milliseconds); undefined where there is none. */
export function small(value: unknown): number | undefined {
  const n =
    typeof value === "number"
      ? value
      : typeof value === "string" && value.trim() !== ""
        ? Number(value)
        : NaN;
  return Number.isFinite(n) ? n : undefined;
}

/** A moment: Unix seconds as number or string, or RFC 3339; undefined for none and for 0. */
export function moment(value: unknown): number | undefined {
  const n = small(value);
  if (n !== undefined) return n > 0 ? n : undefined;
  const ms = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms / 1000;
}

/** An id: decimal digits as text, "" for none and for 0. */
export function id(value: unknown): string {
  const n = parseAmount(value);
  return n === undefined || n <= 0n ? "" : n.toString();
}

/** The last word of an enum name in lower case: "ITEM_STATE_OPEN", "ITEM_STATE" -> "open". */
export function enumWord(value: unknown, prefix: string): string {
  const name = text(value);
  return (name.startsWith(prefix + "_") ? name.slice(prefix.length + 1) : name).toLowerCase();
}

/** Base64 to lower-case hex; "" for what is not base64. */
export function hexOfBase64(value: unknown): string {
  try {
    return Array.from(atob(text(value)), (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  } catch {
    return "";
  }
}
