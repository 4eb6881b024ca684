import { expect, test } from "vitest";
import { duration, parseTime, relative } from "./time.ts";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

test.each([
  [0, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [119 * 60, "119 min"],
  [2 * 3600, "2 h"],
  [47 * 3600, "47 h"],
  [48 * 3600, "2 d"],
  [119 * 86_400, "119 d"],
  [120 * 86_400, "4 mo"],
  [729 * 86_400, "24 mo"],
  [730 * 86_400, "2 y"],
  [-90, "1 min"],
])("%d seconds last %s", (seconds, want) => expect(plain(duration(seconds))).toBe(want));

test("relative", () => {
  expect(relative(100, 100)).toBe("now");
  expect(plain(relative(88, 100))).toBe("12 s ago");
  expect(plain(relative(100 + 3 * 86_400, 100))).toBe("in 3 d");
});

test("parseTime reads the chain's nanoseconds and nothing else", () => {
  expect(parseTime("2026-11-22T10:00:00.123456789Z")).toBe(Date.UTC(2026, 10, 22, 10, 0, 0, 123) / 1000);
  expect(parseTime("2026-11-22T10:00:00Z")).toBe(Date.UTC(2026, 10, 22, 10) / 1000);
  for (const bad of ["", "yesterday", "2026", 5, null, "2026-13-45T99:00:00Z"])
    expect(parseTime(bad)).toBeUndefined();
});
