import { describe, expect, test } from "vitest";
import { parseAddress, shorten, toBech32, toHexAddress } from "./address.ts";
import { decodeBech32, encodeBech32 } from "./bech32.ts";
import { keccak256 } from "./keccak.ts";

const hex = (data: Uint8Array) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");
const utf8 = (text: string) => new TextEncoder().encode(text);

describe("keccak256", () => {
  test.each([
    ["", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"],
    ["abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"],
    ["testing", "5f16f4c7f149ac4f9510d9cf8cf384038ad348b3bcdc01915f95de12df9d1b02"],
  ])("of %o", (text, want) => expect(hex(keccak256(utf8(text)))).toBe(want));

  test("pads a full block and one byte less than it", () => {
    const [full, less] = [hex(keccak256(new Uint8Array(136))), hex(keccak256(new Uint8Array(135)))];
    expect(full).toBe("3a5912a7c5faa06ee4fe906253e339467a9ce87d533c65be3c15cb231cdb25f9");
    expect(less).not.toBe(full);
  });
});

describe("EIP-55", () => {
  // From the text of the EIP.
  test.each([
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
  ])("%s", (spelt) => {
    expect(toHexAddress(spelt.toLowerCase())).toBe(spelt);
    expect(toHexAddress(toBech32(spelt)!)).toBe(spelt);
  });

  test("a capital out of place is refused, one case throughout is not", () => {
    const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    expect(parseAddress(good.replace("aA", "AA"))).toBeUndefined();
    expect(parseAddress("0x" + good.slice(2).toUpperCase())).toBeDefined();
  });
});

describe("bech32", () => {
  // From BIP-173.
  test.each([
    "a12uel5l",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
  ])("%s is valid", (text) => {
    // Not all of them are whole bytes; those that are read back the same.
    const decoded = decodeBech32(text);
    if (decoded) expect(encodeBech32(decoded.prefix, decoded.data)).toBe(text);
    else expect(text.startsWith("an83") || text.startsWith("abcdef") || text.startsWith("split")).toBe(true);
  });

  test.each([
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
    "a12UEL5L",
    "pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "a12uel5m",
    "a".repeat(91),
  ])("%s is not", (text) => expect(decodeBech32(text)).toBeUndefined());
});

describe("addresses", () => {
  // As core/address writes them.
  const both = [
    "cairn1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnjzzdqf",
    "0x000102030405060708090a0b0c0d0e0f10111213",
  ] as const;

  test("two spellings of the same bytes", () => {
    expect([toBech32(both[0]), toHexAddress(both[0])]).toEqual(both);
    expect([toBech32(both[1]), toHexAddress(both[1])]).toEqual(both);
    expect(hex(parseAddress(both[0])!)).toBe(both[1].slice(2));
  });

  test.each([
    "",
    "cairn1",
    "0x1234",
    "cosmos1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnrujsuw",
    "cairn1" + "q".repeat(38),
    "<script>",
  ])("%o is refused", (text) => expect(parseAddress(text)).toBeUndefined());

  test("one letter off is refused, at every place", () => {
    const good = both[0];
    for (let i = 6; i < good.length; i++) {
      const other = good[i] === "q" ? "p" : "q";
      expect(parseAddress(good.slice(0, i) + other + good.slice(i + 1))).toBeUndefined();
    }
  });

  test("shorten keeps the ends", () => {
    expect(shorten("cairn1abcdefghijklmnopqrstuvwxyz")).toBe("cairn1abcd\u2026wxyz");
    expect(shorten("short")).toBe("short");
  });
});
