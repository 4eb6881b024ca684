// What views decide without a browser: routes, warnings, the picture of pieces, commands.

import { expect, test, describe } from "vitest";
import { grid, risk } from "./grid.ts";
import { readGateway, readInfo, readNode, readPlacement } from "./network.ts";
import { href, parseRoute } from "./route.ts";
import { shellQuote, snippets } from "./snippet.ts";
import { warnings } from "./warning.ts";

describe("routes", () => {
  test.each([
    ["", "overview", ""],
    ["#/", "overview", ""],
    ["#/devices", "devices", ""],
    ["#/devices/", "devices", ""],
    ["#/devices/18446744073709551615", "devices", "18446744073709551615"],
    ["#/storage/my-bucket.1", "storage", "my-bucket.1"],
    ["#/accounts/cairn1" + "q".repeat(38), "accounts", "cairn1" + "q".repeat(38)],
  ])("%o", (hash, view, of) => expect(parseRoute(hash)).toEqual({ view, of }));

  test.each([
    "#/nowhere",
    "#/devices/0",
    "#/devices/-1",
    "#/devices/1/2",
    "#/devices/..%2f",
    "#/buckets/x",
    "#/accounts/bob",
    "#/blocks/abc",
    "#/constructor",
  ])("%o leads nowhere", (hash) => expect(parseRoute(hash).view).toBeUndefined());

  test("href and parseRoute agree", () =>
    expect(parseRoute(href("leases", 4))).toEqual({ view: "leases", of: "4" }));
});

const node = (name: string, device: number, up: boolean, warned: string[] = []) =>
  readNode({ name, device_id: String(device), up, status: { warnings: warned } });

test("a snapshot that was never taken has no age", () => {
  expect(readGateway({ snapshot: { version: 0, age_s: -1 } }).snapshot).toEqual({ version: "0", ageS: undefined });
  expect(readGateway({ snapshot: { version: 3, age_s: 74 } }).snapshot).toEqual({ version: "3", ageS: 74 });
});

describe("warnings", () => {
  const calm = readGateway({
    repair: { healthy: 5, degraded: 0, lost: 0, queue: 0 },
    lease: { id: 1, dry_at: 1000 + 30 * 86_400 },
  });

  test("none where all is well or nothing is known", () => {
    expect(warnings(calm, [node("a", 1, true)], 1000)).toEqual([]);
    expect(warnings(undefined, undefined, 1000)).toEqual([]);
  });

  test("lost data comes first, then what is down, then the rest", () => {
    const gateway = readGateway({
      repair: { healthy: 1, degraded: 2, lost: 1, queue: 2 },
      warnings: ["The escrow is low."],
      lease: { id: 1, dry_at: 2000 },
    });
    const found = warnings(gateway, [node("a", 1, false), node("b", 2, true, ["full"])], 1000);
    expect(found.map((w) => w.level)).toEqual(["bad", "watch", "watch", "watch", "watch"]);
    expect(found[0]!.text).toContain("1 segment cannot be read");
    expect(found[1]!.text).toBe("a does not answer.");
    // The gateway's own word on its escrow is not said twice.
    expect(found.filter((w) => /escrow/.test(w.text))).toHaveLength(1);
    expect(found.at(-1)!.text).toBe("b: full");
  });

  test("an escrow that runs dry soon, and one that has", () => {
    const at = (dry: number) => readGateway({ lease: { id: 9, dry_at: dry } });
    expect(warnings(at(1000 + 3600 * 5), [], 1000)[0]).toMatchObject({ level: "watch", href: "#/leases/9" });
    expect(warnings(at(900), [], 1000)[0]).toMatchObject({
      level: "bad",
      text: "The gateway's escrow has run dry.",
    });
  });

  test("many nodes down make one line", () => {
    const down = [1, 2, 3, 4, 5].map((n) => node(`n${n}`, n, false));
    expect(warnings(undefined, down, 0)[0]!.text).toBe("n1, n2, n3 and 2 more do not answer.");
  });
});

describe("the picture of pieces", () => {
  const dev = { name: "dev", k: 4, repair: 6, optimal: 8, total: 10 };

  test("risk by pieces that can be had", () => {
    expect([10, 8, 7, 6, 5, 4, 3, 0].map((live) => risk(live, dev))).toEqual([
      "whole",
      "whole",
      "fair",
      "low",
      "low",
      "critical",
      "lost",
      "lost",
    ]);
  });

  test("a node that is down holds pieces that cannot be had", () => {
    const placement = readPlacement({
      classes: [dev],
      segments: [{ id: "s", size: 5, class: "dev", pieces: [1, 2, 3, "4", 5] }],
    });
    const g = grid(placement, [node("one", 1, true), node("two", 2, false), node("nine", 9, true)]);
    expect(g.rows.map((r) => r.name)).toEqual(["one", "two", "3", "4", "5", "nine"]);
    expect(g.columns[0]).toMatchObject({
      live: 4,
      risk: "critical",
      cells: [true, true, true, true, true, false],
    });
    expect(g.tally.critical).toBe(1);
  });

  test("each segment is judged by its own class, and one of an unknown class is not judged", () => {
    const small = { name: "small", k: 1, repair: 1, optimal: 2, total: 3 };
    const of = (name: string) => ({ id: name, class: name, pieces: [1, 2] });
    const placement = readPlacement({ classes: [dev, small], segments: [of("dev"), of("small"), of("new")] });
    expect(grid(placement, []).columns.map((c) => c.risk)).toEqual(["lost", "whole", "fair"]);
  });

  test("a piece named twice counts once", () => {
    const placement = readPlacement({
      classes: [dev],
      segments: [{ id: "s", class: "dev", pieces: [1, 1, 1, 1] }],
    });
    expect(grid(placement, []).columns[0]!.live).toBe(1);
  });

  test("of very many nodes only those with pieces are drawn, in the order of their ids", () => {
    const nodes = Array.from({ length: 100 }, (_, i) => node(`n${i}`, i + 1, true));
    const placement = readPlacement({
      classes: [dev],
      segments: [{ id: "s", class: "dev", pieces: ["10", "9", "100"] }],
    });
    expect(grid(placement, nodes).rows.map((r) => r.device)).toEqual(["9", "10", "100"]);
  });
});

describe("commands", () => {
  test("words are quoted for the shell", () => {
    expect(shellQuote("http://127.0.0.1:9000")).toBe("http://127.0.0.1:9000");
    expect(shellQuote("/home/a b/$(rm -rf)/it's")).toBe("'/home/a b/$(rm -rf)/it'\\''s'");
  });

  test("the secret is read by the shell, never shown", () => {
    const text = snippets(
      readInfo({
        endpoints: { s3: "http://127.0.0.1:9000" },
        s3: { access_key: "AK" },
        ready_file: "/tmp/r.json",
      }),
    )
      .map((s) => s.code)
      .join("\n");
    expect(text).toContain("AWS_ACCESS_KEY_ID=AK");
    expect(text).toContain("secret_key");
    expect(text).toContain("/tmp/r.json");
    expect(text).toContain("endpoint=http://127.0.0.1:9000");
  });

  test("without a ready file the person fills in the keys", () => {
    expect(snippets(readInfo({}))[0]!.code).toContain("AWS_SECRET_ACCESS_KEY=YOUR_SECRET_KEY");
  });
});
