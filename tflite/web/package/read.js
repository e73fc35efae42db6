/* Bytes of a URL; the requests that the package makes are all made here or in read-node.js. */
export async function read(location) {
  const response = await fetch(location);
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
