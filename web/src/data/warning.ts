// What wants a person's attention, gathered from all parts, worst first.

import { duration } from "../format/time.ts";
import type { Gateway, Node } from "./network.ts";

export interface Warning {
  level: "bad" | "watch";
  text: string;
  /** Where more is to be seen. */
  href: string;
}

/** Escrow that lasts shorter than this is worth a word, seconds. */
const DRY_SOON = 3 * 86_400;

export function warnings(gateway: Gateway | undefined, nodes: Node[] | undefined, now: number): Warning[] {
  const found: Warning[] = [];
  const repair = gateway?.repair;
  if (repair && repair.lost > 0n) {
    found.push({
      level: "bad",
      text: `${segments(repair.lost)} cannot be read: too few pieces are left.`,
      href: "#/storage",
    });
  }
  const down = nodes?.filter((node) => !node.up) ?? [];
  if (down.length > 0) {
    const names = down.slice(0, 3).map((node) => node.name || `device ${node.device}`);
    const rest = down.length > 3 ? ` and ${down.length - 3} more` : "";
    const verb = down.length === 1 ? "does" : "do";
    found.push({ level: "watch", text: `${names.join(", ")}${rest} ${verb} not answer.`, href: "#/storage" });
  }
  if (repair && repair.degraded > 0n) {
    const queue = repair.queue > 0n ? `, ${repair.queue} waiting for repair` : "";
    found.push({
      level: "watch",
      text: `${segments(repair.degraded)} with fewer pieces than wanted${queue}.`,
      href: "#/storage",
    });
  }
  const said = gateway?.warnings ?? [];
  for (const text of said) found.push({ level: "watch", text, href: "#/buckets" });
  const dry = gateway?.lease?.dryAt;
  if (dry !== undefined && dry - now < DRY_SOON && !said.some((text) => /escrow|dry/i.test(text))) {
    const text =
      dry <= now
        ? "The gateway's escrow has run dry."
        : `The gateway's escrow runs dry in ${duration(dry - now)}.`;
    found.push({ level: dry <= now ? "bad" : "watch", text, href: `#/leases/${gateway!.lease!.id}` });
  }
  for (const node of nodes ?? []) {
    for (const text of node.up ? (node.figures?.warnings ?? []) : []) {
      found.push({
        level: "watch",
        text: `${node.name}: ${text}`,
        href: node.device ? `#/devices/${node.device}` : "#/storage",
      });
    }
  }
  return found;
}

function segments(n: bigint): string {
  return n === 1n ? "1 segment" : `${n} segments`;
}
