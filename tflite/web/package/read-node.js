/* The same where there are files: a location is a URL, that of a file too, or a path. */
import { readFile } from "node:fs/promises";
import { read as fetchBytes } from "./read.js";

export async function read(location) {
  const scheme = /^([a-z][a-z+.-]+):/i.exec(location)?.[1].toLowerCase();
  if (scheme && scheme !== "file") return fetchBytes(location);
  return new Uint8Array(await readFile(scheme ? new URL(location) : location));
}
