// What people call things: names of accounts and devices, where this network knows any. Reading
// them inside a component follows them as they come in.

import { toBech32 } from "../format/address.ts";
import * as resources from "./resources.ts";

/** The name of an account, in either spelling; "" for a stranger. */
export function accountName(address: string): string {
  const accounts = resources.info.data?.accounts ?? [];
  const known = accounts.find((a) => a.address === address);
  if (known || !address.startsWith("0x")) return known?.name ?? "";
  const spelt = toBech32(address);
  return accounts.find((a) => a.address === spelt)?.name ?? "";
}

/** The name of a device: its node's where that is known, else "Device 3". */
export function deviceName(id: string): string {
  return resources.nodes.data?.find((node) => node.device === id)?.name || `Device ${id}`;
}
