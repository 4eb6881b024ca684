// Addresses: twenty bytes with two spellings, cairn1... (bech32) and 0x... (EIP-55).

import { decodeBech32, encodeBech32 } from "./bech32.ts";
import { keccak256 } from "./keccak.ts";

export const PREFIX = "cairn";

function hex(data: Uint8Array): string {
  return Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Twenty bytes as 0x with EIP-55 capitals. */
export function toHex(address: Uint8Array): string {
  const digits = hex(address);
  const hash = hex(keccak256(new TextEncoder().encode(digits)));
  return "0x" + [...digits].map((d, i) => (parseInt(hash[i]!, 16) >= 8 ? d.toUpperCase() : d)).join("");
}

/** Reads either spelling. A 0x address with mixed capitals must have the right ones. */
export function parseAddress(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  if (/^0x[0-9a-fA-F]{40}$/.test(trimmed)) {
    const digits = trimmed.slice(2);
    const address = Uint8Array.from(digits.match(/../g)!, (pair) => parseInt(pair, 16));
    const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
    return mixed && toHex(address) !== trimmed ? undefined : address;
  }
  const decoded = decodeBech32(trimmed);
  return decoded?.prefix === PREFIX && decoded.data.length === 20 ? decoded.data : undefined;
}

/** The cairn1... spelling of either spelling. */
export function toBech32(text: string): string | undefined {
  const address = parseAddress(text);
  return address && encodeBech32(PREFIX, address);
}

/** The 0x... spelling of either spelling. */
export function toHexAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address && toHex(address);
}

/** The ends of a long text: "cairn1qypq...x4k2". */
export function shorten(text: string, head = 10, tail = 4): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}\u2026${text.slice(-tail)}`;
}
