// Drives the page in Chromium; started by TestPage (web/page_test.go), which serves the page from
// the Go handler over a stand-in network and lets the mood be changed at CAIRN_CONTROL.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { chromium } from "playwright-core";

const PAGE = process.env.CAIRN_PAGE;
const CONTROL = process.env.CAIRN_CONTROL;
const SHOTS = process.env.CAIRN_SHOTS;

const LOOKS = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  tablet: { viewport: { width: 820, height: 1100 }, colorScheme: "light" },
  narrow: { viewport: { width: 1000, height: 800 }, colorScheme: "dark" },
  phone: {
    viewport: { width: 390, height: 844 },
    colorScheme: "light",
    isMobile: true,
    hasTouch: true,
    deviceScaleFactor: 2,
  },
};

const browser = await chromium.launch({
  executablePath: process.env.CAIRN_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

const mood = async (name) => assert.equal((await fetch(`${CONTROL}/?mood=${name}`)).status, 200);
const problems = [];

/** A page that notes everything that must not happen. Errors that a mood provokes are expected there. */
async function open(look, { expectFailures = false } = {}) {
  const context = await browser.newContext({ ...LOOKS[look], reducedMotion: "reduce" });
  const page = await context.newPage();
  page.expectFailures = expectFailures;
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (page.expectFailures && /Failed to load resource/.test(message.text())) return;
    problems.push(`${page.url()}: console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(PAGE + "/")) problems.push(`${page.url()}: asked ${request.url()}`);
  });
  await page.goto(`${PAGE}/`);
  return page;
}

async function shot(page, name) {
  if (!SHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** The text of main, with all white space as one space. */
const words = async (page) => (await page.locator("main").innerText()).replace(/\s+/g, " ");

/** Waits until main says all of these. */
async function says(page, ...wanted) {
  for (const text of wanted) {
    try {
      await page.waitForFunction(
        (needle) => document.querySelector("main")?.innerText.replace(/\s+/g, " ").includes(needle),
        text,
        { timeout: 10_000 },
      );
    } catch {
      assert.fail(`${page.url()} should say ${JSON.stringify(text)}, but says: ${await words(page)}`);
    }
  }
}

/** Nothing is wider than the window, and no table than its panel. */
async function fits(page) {
  const over = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    return [...document.querySelectorAll("main *")]
      .filter(
        (e) =>
          !e.closest(".scroll, pre, .stones, .visually-hidden, thead") &&
          e.getBoundingClientRect().right > width + 1,
      )
      .map((e) => `${e.tagName}.${e.className}`)
      .slice(0, 3)
      .concat(
        [...document.querySelectorAll(".room")]
          .filter((e) => e.scrollWidth > e.clientWidth + 1)
          .map((e) => `table ${e.scrollWidth} > ${e.clientWidth}`),
        [...document.querySelectorAll(".figure")]
          .filter((e) => e.scrollWidth > e.clientWidth + 1)
          .map((e) => e.innerText),
      );
  });
  assert.deepEqual(over, [], `${page.url()} is wider than the window`);
}

/** Every control and image has a name, every view one heading, every list of links its label. */
async function accessible(page) {
  const bad = await page.evaluate(() => {
    const found = [];
    for (const e of document.querySelectorAll("button, a[href], input, select")) {
      if (e.closest("[aria-hidden=true]")) continue;
      const label = e.labels?.[0]?.innerText ?? "";
      const name = e.getAttribute("aria-label") || e.innerText || e.textContent || label || e.title;
      if (!name.trim()) found.push(`no name: ${e.outerHTML.slice(0, 120)}`);
    }
    for (const e of document.querySelectorAll("svg:not([aria-hidden]), [role=img]")) {
      if (!e.closest("svg[aria-label]") && !e.getAttribute("aria-label"))
        found.push(`image without name: ${e.outerHTML.slice(0, 80)}`);
    }
    if (document.querySelectorAll("h1").length !== 1) found.push("not exactly one h1");
    if (document.querySelectorAll("main").length !== 1 || document.querySelectorAll("nav").length < 1)
      found.push("landmarks missing");
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    if (new Set(ids).size !== ids.length) found.push("an id is used twice");
    return found;
  });
  assert.deepEqual(bad, [], page.url());
}

/** Text against what lies behind it: at least 4.5:1, or 3:1 where large (WCAG 2.2, 1.4.3). */
async function legible(page) {
  const bad = await page.evaluate(() => {
    const channels = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((c) =>
        (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (e) => {
      for (; e; e = e.parentElement) {
        const c = channels(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] === 1) return c;
      }
      return [255, 255, 255];
    };
    const found = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const e = node.parentElement;
      if (
        !node.data.trim() ||
        !e.checkVisibility({ opacityProperty: true }) ||
        e.closest(".visually-hidden, svg, noscript, :disabled, option")
      )
        continue;
      const style = getComputedStyle(e);
      const [a, b] = [light(channels(style.color)), light(behind(e))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      const large =
        parseFloat(style.fontSize) >= 24 ||
        (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 600);
      if (ratio < (large ? 3 : 4.5))
        found.add(`${ratio.toFixed(2)} ${style.color} ${JSON.stringify(node.data.trim().slice(0, 30))}`);
    }
    return [...found];
  });
  assert.deepEqual(bad, [], `${page.url()}: contrast`);
}

const VIEWS = {
  overview: {
    route: "",
    text: ["Overview", "Who holds what", "granite", "In escrow", "41.23 CAIRN", "1.387 CAIRN", "851"],
  },
  blocks: { route: "#/blocks", text: ["Blocks", "Proposer", "Older blocks"] },
  block: {
    route: "#/blocks/1188",
    text: [
      "Block 1,188",
      "0.00123 CAIRN paid to the owner, 31.65 µCAIRN burned",
      "sequence 3 is not above 41",
      "84,211 gas",
    ],
  },
  quiet: { route: "#/blocks/1189", text: ["Block 1,189", "A quiet block"] },
  devices: {
    route: "#/devices",
    text: ["granite", "Home server", "0.1681 CAIRN", "20 GB of 500 GB", "alice"],
  },
  device: {
    route: "#/devices/3",
    text: [
      "slate",
      "Registration",
      "ed25519",
      "3.8 CAIRN a TB a month",
      "7 CAIRN a TB",
      "Lease 2",
      "1 completed",
    ],
  },
  leases: { route: "#/leases", text: ["Lease 2", "renter", "41.35 CAIRN", "after the end"] },
  lease: { route: "#/leases/2", text: ["Lease 2", "Session key", "basalt", "240 GB", "Escrow left"] },
  storage: {
    route: "#/storage",
    text: ["12 of 12 up", "Where pieces lie", "photos", "repair begins at 6", "basalt"],
  },
  buckets: {
    route: "#/buckets",
    text: ["photos", "12,480", "9.87 GB", "rclone", "http://127.0.0.1:9000", "Metadata snapshot 31"],
  },
  proofs: {
    route: "#/proofs",
    text: [
      "Proofs",
      "slate",
      "did not answer the challenge of epoch 39",
      "4,000 CAIRN",
      "rejected",
      "2,750 CAIRN",
    ],
  },
  votes: {
    route: "#/votes",
    text: ["Challenge devices twice as often", "storage: update params", "65 % of the power voted"],
  },
  vote: { route: "#/votes/2", text: ["Proposal 2", "cairn gov vote 2 yes"] },
  accounts: { route: "#/accounts", text: ["alice", "999,957.81 CAIRN", "700777", "http://127.0.0.1:8545"] },
};

async function everyView(look) {
  const page = await open(look);
  for (const [name, view] of Object.entries(VIEWS)) {
    await page.goto(`${PAGE}/${view.route}`);
    await says(page, ...view.text);
    await fits(page);
    await accessible(page);
    await legible(page);
    await shot(page, `${look}-${name}`);
  }
  await page.context().close();
}

async function liveBlocks() {
  const page = await open("light");
  await says(page, "one every 1.0 s");
  const height = async () => Number((await page.locator(".strip .height a").innerText()).replaceAll(",", ""));
  const before = await height();
  await page.waitForFunction(
    (h) => Number(document.querySelector(".strip .height a").innerText.replaceAll(",", "")) > h + 1,
    before,
  );
  assert.ok((await page.locator(".stones a").count()) <= 60);
  await page.context().close();
}

async function moving() {
  const page = await open("light");
  await says(page, "Who holds what");
  // The keyboard reaches the skip link first, and a move takes the focus to the heading.
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to content");
  await page.getByRole("link", { name: "Devices", exact: true }).first().click();
  await says(page, "granite");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  assert.equal(await page.title(), "Devices · Cairn");
  assert.equal(await page.locator('nav [aria-current="page"]').innerText(), "Devices");
  await page.getByPlaceholder("Name, owner").fill("carol");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
  await page.getByPlaceholder("Name, owner").fill("no such thing");
  await says(page, "No device fits");
  await page.getByPlaceholder("Name, owner").fill("");
  await page.getByRole("link", { name: "granite" }).click();
  await says(page, "Registration");
  // An address has two spellings, and is copied as it is shown.
  const owner = page.locator(".address.whole").first();
  assert.match(await owner.innerText(), /^cairn1[a-z0-9]{38}/);
  await owner.getByRole("button", { name: "0x" }).click();
  assert.match(await owner.innerText(), /^0x[0-9a-fA-F]{40}/);
  await page.goBack();
  await says(page, "Leased of offered");

  await page.goto(`${PAGE}/#/accounts`);
  await page.getByLabel("Address").fill("cairn1wrong");
  await page.getByRole("button", { name: "Look up" }).click();
  await says(page, "That is not an address");
  await page.goto(`${PAGE}/#/nowhere`);
  await says(page, "Nothing here");
  page.expectFailures = true;
  await page.goto(`${PAGE}/#/devices/999`);
  await says(page, "Not found");
  await page.context().close();
}

async function troubled() {
  await mood("troubled");
  for (const look of ["light", "dark", "phone"]) {
    const page = await open(look);
    await says(
      page,
      "slate, chalk, obsidian do not answer",
      "58 segments with fewer pieces than wanted, 41 waiting",
      "covers 19 h more",
      "quartz: the disk is 91 % full",
    );
    await legible(page);
    await fits(page);
    await shot(page, `${look}-troubled-overview`);
    await page.goto(`${PAGE}/#/storage`);
    await says(page, "9 of 12 up", "seen", "on a node that does not answer", "to be repaired");
    await legible(page);
    await fits(page);
    await shot(page, `${look}-troubled-storage`);
    await page.goto(`${PAGE}/#/devices/3`);
    await says(page, "The device does not answer");
    await shot(page, `${look}-troubled-device`);
    await page.context().close();
  }
  await mood("calm");
}

async function empty() {
  await mood("empty");
  const wanted = {
    "": ["No storage node is connected", "Nothing is stored yet"],
    "#/devices": ["No device is registered yet", "cairn provide storage"],
    "#/leases": ["No lease has been opened yet"],
    "#/storage": ["No storage node is connected to this page"],
    "#/buckets": [
      "No bucket yet",
      "aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://photos",
      "rclone config create cairn s3",
    ],
  };
  for (const look of ["light", "phone"]) {
    const page = await open(look);
    for (const [route, text] of Object.entries(wanted)) {
      await page.goto(`${PAGE}/${route}`);
      await says(page, ...text);
      await fits(page);
      await accessible(page);
      await shot(page, `${look}-empty-${route.slice(2) || "overview"}`);
    }
    await page.context().close();
  }
  await mood("calm");
}

async function away() {
  const page = await open("light", { expectFailures: true });
  await says(page, "granite", "41.23 CAIRN");
  await mood("away");
  await says(page, "The chain is not answering");
  // What was known stays.
  await says(page, "41.23 CAIRN");
  await legible(page);
  await shot(page, "light-away-overview");
  await page.goto(`${PAGE}/#/blocks/1000`);
  await says(page, "Block cannot be shown", "chain RPC does not answer");
  await shot(page, "light-away-block");
  await mood("calm");
  await page.waitForFunction(() => !document.querySelector("main").innerText.includes("is not answering"));
  await says(page, "State before");
  await page.context().close();
}

async function loading() {
  await mood("slow");
  const page = await open("light", { expectFailures: true });
  await page.getByText("Loading the gateway").first().waitFor({ state: "attached" });
  await shot(page, "light-loading");
  await mood("calm");
  await says(page, "granite");
  await page.context().close();
}

const only = process.env.CAIRN_ONLY ? process.env.CAIRN_ONLY.split(",") : undefined;
const steps = {
  light: () => everyView("light"),
  dark: () => everyView("dark"),
  tablet: () => everyView("tablet"),
  narrow: () => everyView("narrow"),
  phone: () => everyView("phone"),
  liveBlocks,
  moving,
  troubled,
  empty,
  away,
  loading,
};

for (const name of only ?? []) assert.ok(name in steps, `CAIRN_ONLY names no step: ${name}`);

let failed = 0;
for (const [name, step] of Object.entries(steps)) {
  if (only && !only.includes(name)) continue;
  try {
    await step();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    await Promise.all(browser.contexts().map((context) => context.close()));
    await mood("calm");
    console.log(`FAIL ${name}: ${error.message}`);
  }
}
await browser.close();
for (const problem of new Set(problems)) console.log(`FAIL ${problem}`);
process.exitCode = failed || problems.length ? 1 : 0;
