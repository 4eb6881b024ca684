// Where the pieces of segments lie, as a grid: a row a segment, a column a node.

import type { Class, Node, Placement } from "./network.ts";

/** How a segment stands: at least optimal pieces, at least repair, fewer but readable with room, within two of unreadable, unreadable. */
export type Risk = "whole" | "fair" | "low" | "critical" | "lost";

export interface Column {
  device: string;
  name: string;
  up: boolean;
  /** Pieces of the segments drawn. */
  pieces: number;
}

export interface Row {
  id: string;
  size: bigint;
  /** By column: 0 for none, else how many pieces that node holds. */
  cells: number[];
  /** Pieces on nodes that answer. */
  live: number;
  risk: Risk;
}

export interface Grid {
  columns: Column[];
  rows: Row[];
  tally: Record<Risk, number>;
}

export function risk(live: number, of: Class): Risk {
  if (live < of.k) return "lost";
  if (live < Math.min(of.k + 2, of.repair)) return "critical";
  if (live < of.repair) return "low";
  return live < of.optimal ? "fair" : "whole";
}

/** Lays a bucket's placement over the nodes known; a device of which nothing is known counts as up. */
export function grid(placement: Placement, nodes: Node[]): Grid {
  const columns = new Map<string, Column>();
  for (const node of nodes) {
    if (node.device)
      columns.set(node.device, {
        device: node.device,
        name: node.name || node.device,
        up: node.up,
        pieces: 0,
      });
  }
  for (const segment of placement.segments) {
    for (const device of segment.devices) {
      const column = columns.get(device) ?? { device, name: device, up: true, pieces: 0 };
      column.pieces++;
      columns.set(device, column);
    }
  }
  const order = [...columns.values()].sort((a, b) => Number(BigInt(a.device) - BigInt(b.device)));
  const at = new Map(order.map((column, i) => [column.device, i]));
  const tally: Record<Risk, number> = { whole: 0, fair: 0, low: 0, critical: 0, lost: 0 };
  const rows = placement.segments.map((segment) => {
    const cells = new Array<number>(order.length).fill(0);
    let live = 0;
    for (const device of segment.devices) {
      const i = at.get(device)!;
      cells[i]!++;
      if (order[i]!.up) live++;
    }
    const stands = risk(live, placement.class);
    tally[stands]++;
    return { id: segment.id, size: segment.size, cells, live, risk: stands };
  });
  return { columns: order, rows, tally };
}
