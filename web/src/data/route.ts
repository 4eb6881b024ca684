// Routes live in the fragment, so that the page works from any path and needs no server's help:
// #/devices, #/devices/3.

export const VIEWS = [
  "overview",
  "blocks",
  "devices",
  "leases",
  "storage",
  "buckets",
  "proofs",
  "votes",
  "accounts",
] as const;

export type View = (typeof VIEWS)[number];

/** A view, and the one thing of it that is looked at; an unknown view is undefined. */
export interface Route {
  view: View | undefined;
  of: string;
}

/** What a detail route may name: an id, a height, an address or a bucket. */
const KEY: Partial<Record<View, RegExp>> = {
  blocks: /^[1-9]\d{0,18}$/,
  devices: /^[1-9]\d{0,19}$/,
  leases: /^[1-9]\d{0,19}$/,
  votes: /^[1-9]\d{0,18}$/,
  accounts: /^(cairn1[a-z0-9]{38}|0x[0-9a-fA-F]{40})$/,
  storage: /^[a-z0-9][a-z0-9.-]{1,62}$/,
};

export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#?\/?/, "").replace(/\/+$/, "");
  if (path === "") return { view: "overview", of: "" };
  const [name, of = "", ...rest] = path.split("/");
  const view = VIEWS.find((v) => v === name);
  if (!view || rest.length > 0 || (of !== "" && !KEY[view]?.test(of))) return { view: undefined, of: "" };
  return { view, of };
}

export function href(view: View, of: string | number = ""): string {
  return of === "" ? `#/${view}` : `#/${view}/${of}`;
}
