// Bech32 as BIP-173 defines it, for addresses: twenty bytes under the prefix "cairn".

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

function polymod(values: number[]): number {
  let check = 1;
  for (const value of values) {
    const top = check >>> 25;
    check = ((check & 0x1ffffff) << 5) ^ value;
    for (let i = 0; i < 5; i++) if ((top >>> i) & 1) check ^= GENERATOR[i]!;
  }
  return check;
}

function expand(prefix: string): number[] {
  const codes = [...prefix].map((c) => c.charCodeAt(0));
  return [...codes.map((c) => c >>> 5), 0, ...codes.map((c) => c & 31)];
}

/** Regroups bits; undefined where padding is not zero or too long. */
function regroup(values: Iterable<number>, from: number, to: number, pad: boolean): number[] | undefined {
  const out: number[] = [];
  let held = 0;
  let bits = 0;
  for (const value of values) {
    held = ((held << from) | value) & 0xfff;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((held >>> bits) & ((1 << to) - 1));
    }
  }
  if (pad) {
    if (bits > 0) out.push((held << (to - bits)) & ((1 << to) - 1));
  } else if (bits >= from || (held << (to - bits)) & ((1 << to) - 1)) {
    return undefined;
  }
  return out;
}

export function encodeBech32(prefix: string, data: Uint8Array): string {
  const words = regroup(data, 8, 5, true)!;
  const check = polymod([...expand(prefix), ...words, 0, 0, 0, 0, 0, 0]) ^ 1;
  const sum = [0, 1, 2, 3, 4, 5].map((i) => (check >>> (5 * (5 - i))) & 31);
  return `${prefix}1${[...words, ...sum].map((w) => ALPHABET[w]).join("")}`;
}

/** The prefix and bytes of a bech32 text, or undefined where it is not one (case, alphabet, checksum, padding). */
export function decodeBech32(text: string): { prefix: string; data: Uint8Array } | undefined {
  if (text.length > 90 || (text !== text.toLowerCase() && text !== text.toUpperCase())) return undefined;
  const lower = text.toLowerCase();
  const split = lower.lastIndexOf("1");
  if (split < 1 || lower.length - split < 7) return undefined;
  const prefix = lower.slice(0, split);
  const words = [...lower.slice(split + 1)].map((c) => ALPHABET.indexOf(c));
  if (words.includes(-1) || polymod([...expand(prefix), ...words]) !== 1) return undefined;
  const data = regroup(words.slice(0, -6), 5, 8, false);
  return data && { prefix, data: Uint8Array.from(data) };
}
