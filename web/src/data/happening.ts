// Events of Cairn's own modules (proto/cairn/*/v1/event.proto) in words.

import { amountText } from "../format/amount.ts";
import type { Event } from "./chain.ts";
import { enumWord, id, object, text, wholeOr0 } from "./json.ts";
import { href } from "./route.ts";

export interface Happening {
  text: string;
  /** To what it happened. */
  href: string;
  label: string;
}

/** An event in words; undefined for events of other modules. */
export function happening(event: Event): Happening | undefined {
  const match = /^cairn\.(device|market|storage|audit|reward)\.v1\.Event(\w+)$/.exec(event.type);
  if (!match) return undefined;
  const a = event.attributes;
  const own = id(a["id"]);
  const device = (of: string, says: string): Happening => ({
    text: says,
    href: href("devices", of),
    label: `device ${of}`,
  });
  const lease = (of: string, says: string): Happening => ({
    text: says,
    href: href("leases", of),
    label: `lease ${of}`,
  });
  const proof = (says: string): Happening => ({ text: says, href: href("proofs"), label: "proofs" });
  const to = id(a["device"]);
  switch (match[2]) {
    case "Registered":
      return device(own, `A ${text(a["kind"])} device was registered`);
    case "Updated":
      return device(own, "A device was updated");
    case "TransferOffered":
      return device(own, "A device was offered to a new owner");
    case "Transferred":
      return device(own, "A device changed its owner");
    case "StateChanged":
      return device(own, `A device became ${enumWord(a["state"], "DEVICE_STATE")}`);
    case "OfferCreated":
      return device(to, `Offer ${own} of ${text(a["resource"])} was made`);
    case "OfferUpdated":
    case "OfferClosed":
      return {
        text: `Offer ${own} was ${match[2] === "OfferClosed" ? "closed" : "changed"}`,
        href: href("devices"),
        label: "devices",
      };
    case "LeaseOpened":
      return lease(own, `A lease of ${text(a["resource"])} was opened with ${text(a["items"])} devices`);
    case "LeaseAmended":
      return lease(own, "A lease was topped up or extended");
    case "ItemClosing":
      return lease(id(a["lease"]), `The part of device ${to} is closing`);
    case "ItemClosed":
      return lease(id(a["lease"]), `The part of device ${to} closed, ${coin(a["refund"])} went back`);
    case "Settled":
      return device(to, `${coin(a["paid"])} paid to the owner, ${coin(a["burned"])} burned`);
    case "OrderCreated":
      return {
        text: `Order ${own} for ${text(a["resource"])} was placed`,
        href: href("leases"),
        label: "leases",
      };
    case "OrderCancelled":
      return { text: `Order ${own} was cancelled`, href: href("leases"), label: "leases" };
    case "BidPlaced":
      return device(to, `A bid was placed on order ${id(a["order"])}`);
    case "OrderAwarded":
      return lease(id(a["lease"]), `Order ${own} was awarded`);
    case "EpochStarted":
      return proof(`Epoch ${text(a["epoch"])} began`);
    case "TreeCommitted": {
      const by = id(object(a["commitment"])["device"]);
      return device(by, "A device committed to what it holds");
    }
    case "ChallengePassed":
      return device(to, `A device proved what it holds in epoch ${text(a["epoch"])}`);
    case "Fault": {
      const fault = object(a["fault"]);
      return device(id(fault["device"]), `A fault was proven; it cost ${coin(fault["slashed"])}`);
    }
    case "ReportPosted":
      return proof(`A report of epoch ${text(a["epoch"])} was posted`);
    case "ReportFinal":
      return proof(`The report of epoch ${text(a["epoch"])} is final`);
    case "ReportRejected":
      return proof(
        `A report of epoch ${text(a["epoch"])} was proven wrong (${text(a["reason"])}); its reporters lost ${amountText(wholeOr0(a["slashed"]))}`,
      );
    case "Claimed":
      return device(to, `${coin(a["paid"])} of rewards went to the owner`);
    case "SnapshotCommitted":
      return {
        text: `Snapshot ${text(a["version"])} of a renter's metadata was anchored`,
        href: href("accounts", text(a["renter"])),
        label: "renter",
      };
    default:
      return {
        text: match[2]!.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase(),
        href: href("blocks"),
        label: match[1]!,
      };
  }
}

function coin(value: unknown): string {
  return amountText(wholeOr0(object(value)["amount"]));
}
