/* Bytes of a URL or, where there are files, of a path: all requests that the package makes are made here. */
const files = globalThis.process?.getBuiltinModule?.("node:fs/promises");

export async function read(location) {
  const scheme = /^([a-z][a-z+.-]+):/i.exec(location)?.[1].toLowerCase();
  if (files && (!scheme || scheme === "file")) {
    return new Uint8Array(await files.readFile(scheme ? new URL(location) : location));
  }
  const response = await fetch(location);
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
