// Commands to copy into a shell.

import type { Info } from "./network.ts";

/** A word for a POSIX shell. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A shell's way to one string of the ready file, with nothing but what every system has. */
function fromReadyFile(field: string, file: string): string {
  return `"$(sed -n 's/.*"${field}": *"\\([^"]*\\)".*/\\1/p' ${shellQuote(file)})"`;
}

export interface SnippetText {
  title: string;
  code: string;
}

/** How to reach the gateway by well-known clients. The page never knows the secret key: the shell reads it from the file that the devnet wrote, or the person types it. */
export function snippets(info: Info): SnippetText[] {
  const endpoint = shellQuote(info.endpoints.s3 || "http://127.0.0.1:9000");
  const region = shellQuote(info.region || "us-east-1");
  const secret = info.readyFile ? fromReadyFile("secret_key", info.readyFile) : "YOUR_SECRET_KEY";
  const key = info.accessKey
    ? shellQuote(info.accessKey)
    : info.readyFile
      ? fromReadyFile("access_key", info.readyFile)
      : "YOUR_ACCESS_KEY";
  return [
    {
      title: "First, in each shell",
      code: [
        `export AWS_ACCESS_KEY_ID=${key}`,
        `export AWS_SECRET_ACCESS_KEY=${secret}`,
        `export AWS_DEFAULT_REGION=${region}`,
      ].join("\n"),
    },
    {
      title: "With aws",
      // Not AWS_ENDPOINT_URL, which clients older than 2.13 do not know.
      code: [
        `aws --endpoint-url ${endpoint} s3 mb s3://photos`,
        `aws --endpoint-url ${endpoint} s3 sync ~/Pictures s3://photos`,
        `aws --endpoint-url ${endpoint} s3 ls --human-readable s3://photos`,
      ].join("\n"),
    },
    {
      title: "With rclone",
      code: [
        `rclone config create cairn s3 provider=Other \\\n  endpoint=${endpoint} region=${region} \\\n  access_key_id="$AWS_ACCESS_KEY_ID" secret_access_key="$AWS_SECRET_ACCESS_KEY"`,
        "rclone sync --progress ~/Pictures cairn:photos",
        "rclone check ~/Pictures cairn:photos",
      ].join("\n"),
    },
  ];
}
