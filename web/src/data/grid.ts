// Where the pieces of segments lie, as a grid: a row a node, a column a segment.

import type { Class, Node, Placement } from "./network.ts";

/** How a segment stands: at least optimal pieces can be had, more than repair, fewer, just enough to read it, too few. */
export type Risk = "whole" | "fair" | "low" | "critical" | "lost";

/** A node that holds pieces or could. */
export interface Row {
  device: string;
  name: string;
  up: boolean;
  /** Pieces of the segments drawn. */
  pieces: number;
}

/** A segment. */
export interface Column {
  id: string;
  size: bigint;
  /** By row, whether that node holds a piece. */
  cells: boolean[];
  /** Pieces on nodes that answer. */
  live: number;
  risk: Risk;
}

export interface Grid {
  rows: Row[];
  columns: Column[];
  tally: Record<Risk, number>;
}

/** In a picture with more nodes than this, those without a piece are left out. */
const MANY_NODES = 24;

export function risk(live: number, of: Class | undefined): Risk {
  if (!of) return "fair";
  if (live < of.k) return "lost";
  if (live === of.k) return "critical";
  if (live <= of.repair) return "low";
  return live < of.optimal ? "fair" : "whole";
}

/** Lays a bucket's placement over the nodes known; a device of which nothing is known counts as up. */
export function grid(placement: Placement, nodes: Node[]): Grid {
  const known = new Map<string, Row>();
  for (const node of nodes) {
    if (node.device)
      known.set(node.device, { device: node.device, name: node.name || node.device, up: node.up, pieces: 0 });
  }
  for (const segment of placement.segments) {
    for (const device of new Set(segment.devices)) {
      const row = known.get(device) ?? { device, name: device, up: true, pieces: 0 };
      row.pieces++;
      known.set(device, row);
    }
  }
  const rows = [...known.values()]
    .filter((row) => row.pieces > 0 || known.size <= MANY_NODES)
    .sort((a, b) => (BigInt(a.device) < BigInt(b.device) ? -1 : 1));
  const classes = new Map(placement.classes.map((c) => [c.name, c]));
  const tally: Record<Risk, number> = { whole: 0, fair: 0, low: 0, critical: 0, lost: 0 };
  const columns = placement.segments.map((segment) => {
    const holders = new Set(segment.devices);
    const cells = rows.map((row) => holders.has(row.device));
    const live = rows.filter((row, i) => row.up && cells[i]).length;
    const stands = risk(live, classes.get(segment.class));
    tally[stands]++;
    return { id: segment.id, size: segment.size, cells, live, risk: stands };
  });
  return { rows, columns, tally };
}
