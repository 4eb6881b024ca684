// Asking this page's own server, which is the only one it ever asks.

/** Why there is no answer; `kind` is what the page does about it. */
export class Failure extends Error {
  override name = "Failure";
  constructor(
    /** offline: the page's server is gone. down: it is there, the part behind it is not. absent: there is no such part here. missing: the thing asked for is not there. other: everything else. */
    readonly kind: "offline" | "down" | "absent" | "missing" | "other",
    message: string,
  ) {
    super(message);
  }
}

/** An answer that takes longer than this is none. The server's own patience with the parts behind it is shorter. */
const PATIENCE_MS = 12_000;

export async function get(path: string, signal?: AbortSignal): Promise<unknown> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      headers: { Accept: "application/json" },
      credentials: "omit",
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Failure(
      "offline",
      patience.aborted ? "The page's server takes too long." : "The page's server does not answer.",
    );
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new Failure("other", `The answer to ${path} is not JSON.`);
  }
  if (response.ok) return body;
  throw failure(response.status, body);
}

/** Reads an error of this page's server ({code: "absent"}) or of the chain's REST ({code: 5}, a gRPC code). */
export function failure(status: number, body: unknown): Failure {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  const says = typeof message === "string" && message !== "" ? message : `status ${status}`;
  if (code === "absent") return new Failure("absent", says);
  if (status === 404) return new Failure("missing", says);
  if (status === 502 || status === 503 || status === 504) return new Failure("down", says);
  return new Failure("other", says);
}

/** A query string of what is set. */
export function query(values: Record<string, string | number | boolean | undefined>): string {
  const pairs = Object.entries(values).filter((pair) => pair[1] !== undefined && pair[1] !== "");
  return pairs.length ? "?" + new URLSearchParams(pairs.map(([k, v]) => [k, String(v)])).toString() : "";
}
