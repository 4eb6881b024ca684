// Reading what the network says, in the shapes of its real parts and in none at all.

import { describe, expect, test } from "vitest";
import * as audit from "./audit.ts";
import {
  moduleAddress,
  readBlock,
  readDevice,
  readEvent,
  readItem,
  readLease,
  readOffer,
  readSettled,
} from "./chain.ts";
import { failure, query } from "./http.ts";
import { happening } from "./happening.ts";
import { enumWord, hexOfBase64, id, moment } from "./json.ts";
import { readGateway, readInfo, readNode, readPlacement } from "./network.ts";
import { readEmission, readLedger } from "./reward.ts";
import { sumItems } from "./sum.ts";
import { messageWords, readProposal, readTally } from "./vote.ts";

const HOSTILE: unknown[] = [
  undefined,
  null,
  0,
  -1,
  NaN,
  "",
  "x",
  [],
  [null],
  {},
  { id: {} },
  { warnings: "no" },
  { buckets: { a: 1 } },
  true,
];

describe("anything can be read", () => {
  const readers = {
    readDevice,
    readOffer,
    readLease,
    readItem,
    readEvent,
    readInfo,
    readNode,
    readGateway,
    readPlacement,
    readBlock,
    readEpoch: audit.readEpoch,
    readCurrentEpoch: audit.readCurrentEpoch,
    readContributor: audit.readContributor,
    readReporter: audit.readReporter,
    readReport: audit.readReport,
    readFinal: audit.readFinal,
    readStanding: audit.readStanding,
    readFault: audit.readFault,
    readFact: audit.readFact,
    readEmission,
    readLedger,
    readProposal,
    readTally,
  };
  test.each(Object.entries(readers))("%s", (_, read) => {
    for (const value of HOSTILE) expect(() => read(value)).not.toThrow();
  });
});

test("ids are digits as text, whatever wrote them", () => {
  expect([
    id("7"),
    id(7),
    id("18446744073709551615"),
    id("0"),
    id(0),
    id(""),
    id("-3"),
    id("seven"),
    id(null),
  ]).toEqual(["7", "7", "18446744073709551615", "", "", "", "", "", ""]);
});

test("moments", () => {
  expect(moment("1700000000")).toBe(1_700_000_000);
  expect(moment("2026-11-22T00:00:00Z")).toBe(Date.UTC(2026, 10, 22) / 1000);
  for (const none of ["0", 0, "", null, "soon", -4]) expect(moment(none)).toBeUndefined();
});

test("enums, keys", () => {
  expect(enumWord("DEVICE_STATE_ACTIVE", "DEVICE_STATE")).toBe("active");
  expect(enumWord("open", "ITEM_STATE")).toBe("open");
  expect(hexOfBase64("AAH/")).toBe("0001ff");
  expect(hexOfBase64("not base64!")).toBe("");
});

test("a device as the chain's REST writes it", () => {
  const device = readDevice({
    id: "3",
    owner: "cairn1o",
    pubkey: { type: "KEY_TYPE_ED25519", key: "AAEC" },
    kind: "storage",
    deposit: { denom: "acairn", amount: "10000000000000000000" },
    state: "DEVICE_STATE_JAILED",
    jailed_until: "1700000000",
    registered_at: "1690000000",
    release_at: "0",
  });
  expect(device).toMatchObject({
    id: "3",
    key: "000102",
    keyType: "ed25519",
    state: "jailed",
    jailedUntil: 1_700_000_000,
    releaseAt: undefined,
  });
  expect(device.deposit.amount).toBe(10n ** 19n);
});

test("a price of nothing per nothing cannot divide by nothing", () => {
  expect(readOffer({ stream: { amount: "5", per: "0" } }).stream).toEqual({ amount: 5n, per: 1n });
});

test("both ways in which gateways unpack a module account", () => {
  expect(moduleAddress({ "@type": "x", base_account: { address: "cairn1m" } })).toBe("cairn1m");
  expect(moduleAddress({ type: "x", value: { address: "cairn1m" } })).toBe("cairn1m");
  expect(moduleAddress(null)).toBe("");
});

test("a node that is down keeps its figures, one never seen has none", () => {
  const seen = readNode({
    name: "slate",
    device_id: "3",
    up: false,
    error: "nothing listens there",
    seen_at: 1_700_000_000,
    status: { used_bytes: "9007199254740993", earned: 5 },
  });
  expect(seen.figures?.used).toBe(9007199254740993n);
  expect(seen.figures?.earned).toBe(5n);
  expect(readNode({ name: "new", device_id: "0", up: false }).figures).toBeUndefined();
});

test("warnings are sentences or objects with one", () => {
  expect(readGateway({ warnings: ["a", { message: "b" }, { text: "c" }, 4, null] }).warnings).toEqual([
    "a",
    "b",
    "c",
    "4",
  ]);
});

test("an Info never shows more than it is given", () => {
  const info = readInfo({
    chain_id: "c",
    accounts: [{ name: "a", address: "cairn1a", mnemonic: "no no no" }],
  });
  expect(JSON.stringify(info)).not.toContain("no no no");
});

test("a lease's parts added up", () => {
  const open = {
    stream: { amount: "1", per: "1" },
    metered: { amount: "0", per: "1" },
    units: "2",
    escrow: "100",
    streamed: "7",
    vouched: "3",
    accrued_at: "1000",
    state: "ITEM_STATE_OPEN",
  };
  const items = [
    open,
    { ...open, escrow: "1000" },
    { ...open, state: "ITEM_STATE_CLOSED", escrow: "0" },
    { ...open, state: "ITEM_STATE_CLOSING", escrow: "9" },
  ].map(readItem);
  // At 1010 each open part has drawn 20.
  expect(sumItems(items, 1010)).toEqual({
    units: 4n,
    escrow: 80n + 980n + 9n,
    streamed: 28n,
    vouched: 12n,
    dryAt: 1050,
  });
});

describe("events in words", () => {
  test("a settlement, as typed events write it", () => {
    const event = readEvent({
      type: "cairn.market.v1.EventSettled",
      attributes: [
        { key: "device", value: '"3"' },
        { key: "paid", value: '{"denom":"acairn","amount":"1500000000000000000"}' },
        { key: "burned", value: '{"denom":"acairn","amount":"1"}' },
        { key: "msg_index", value: "0" },
      ],
    });
    expect(happening(event)).toEqual({
      text: "1.5\u00a0CAIRN paid to the owner, 1\u00a0acairn burned",
      href: "#/devices/3",
      label: "device 3",
    });
  });

  test("a new kind of event of our own modules still says something, others nothing", () => {
    expect(happening({ type: "cairn.market.v1.EventDeadlinePostponed", attributes: {} })?.text).toBe(
      "deadline postponed",
    );
    expect(happening({ type: "transfer", attributes: {} })).toBeUndefined();
  });

  test("a value that is not JSON is text", () => {
    expect(readEvent({ type: "t", attributes: [{ key: "k", value: "not json" }] }).attributes).toEqual({
      k: "not json",
    });
  });
});

test("failures by kind", () => {
  expect(failure(404, { code: "absent", message: "m" }).kind).toBe("absent");
  expect(failure(404, { code: 5, message: "device 9: not found" }).kind).toBe("missing");
  expect(failure(502, { code: "unreachable", message: "m" }).kind).toBe("down");
  expect(failure(400, null)).toMatchObject({ kind: "other", message: "status 400" });
});

test("what was settled and burned is the chain's figure in CAIRN, not one made up from the fee", () => {
  const totals = [
    { denom: "aaa", paid: "7", burned: "7" },
    { denom: "acairn", paid: "98123456789012345678", burned: "2515985558692624248" },
  ];
  expect(readSettled({ totals })).toEqual({ paid: 98123456789012345678n, burned: 2515985558692624248n });
  expect(readSettled({ totals: [] })).toEqual({ paid: 0n, burned: 0n });
});

test("queries leave out what is not set and escape the rest", () => {
  expect(query({ a: undefined, b: "" })).toBe("");
  expect(query({ "pagination.limit": 2, key: "a+b=&", only_open: true })).toBe(
    "?pagination.limit=2&key=a%2Bb%3D%26&only_open=true",
  );
});

test("how an epoch went for a device", () => {
  const fact = (value: object) => audit.outcome(audit.readFact({ device: "3", epoch: "9", ...value }));
  expect(fact({})).toBe("idle");
  expect(fact({ challenged: true })).toBe("missed");
  expect(fact({ challenged: true, passed: 4, proved: "1048576" })).toBe("proved");
  expect(fact({ challenged: true, passed: 3, failed: 1 })).toBe("failed");
});

test("reports and epochs in the chain's shapes", () => {
  const report = audit.readReport({
    id: "AAH/",
    status: "REPORT_STATUS_REJECTED",
    statement: { epoch: "12", output: { leaves: "40", earned: "1500000000000000000" } },
    posts: [{ reporter: "cairn1a" }, { reporter: "cairn1b" }],
    rejected: "leaf",
  });
  expect(report).toMatchObject({
    id: "0001ff",
    epoch: 12,
    status: "rejected",
    reporters: ["cairn1a", "cairn1b"],
    leaves: 40n,
    earned: 1_500_000_000_000_000_000n,
  });
  const epoch = audit.readCurrentEpoch({
    epoch: { number: "7", start_height: "180", power_bps: 7500, outputs: 3, beacon: "AAH/" },
    next_height: "210",
    outputs: [{}, {}],
  });
  expect(epoch).toMatchObject({
    number: 7,
    startHeight: 180,
    power: 0.75,
    nextHeight: 210,
    collected: 2,
    weak: false,
  });
});

test("what a proposal does", () => {
  expect(messageWords("/cairn.storage.v1.MsgUpdateParams")).toBe("storage: update params");
  expect(messageWords("/cosmos.distribution.v1beta1.MsgCommunityPoolSpend")).toBe(
    "distribution: community pool spend",
  );
  expect(messageWords("odd")).toBe("odd");
  expect(readProposal({ id: "2", status: "PROPOSAL_STATUS_VOTING_PERIOD" }).status).toBe("voting period");
});

test("proofs and reports in words", () => {
  const says = (type: string, attributes: object) =>
    happening({ type: `cairn.${type}`, attributes: attributes as never })?.text;
  expect(
    says("storage.v1.EventFault", { fault: { device: "3", slashed: { amount: "5000000000000000000" } } }),
  ).toBe("A fault was proven; it cost 5\u00a0CAIRN");
  expect(
    says("audit.v1.EventReportRejected", { epoch: "7", reason: "leaf", slashed: "2000000000000000000" }),
  ).toBe("A report of epoch 7 was proven wrong (leaf); its reporters lost 2\u00a0CAIRN");
  expect(says("reward.v1.EventClaimed", { device: "3", paid: { amount: "0" } })).toContain(
    "of rewards went to the owner",
  );
});
