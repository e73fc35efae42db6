/* Damaged files: each is refused by a sentence, or answers; and a pipeline made before works on as it did.
 * Arguments: the package's index.js, model files.
 */
import { readFile } from "node:fs/promises";

const [, , index, ...models] = process.argv;
const { BeexError, pipeline } = await import(index);

let state = 88172645463325252n;
function random(limit) {
  state ^= (state << 13n) & 0xffffffffffffffffn;
  state ^= state >> 7n;
  state ^= (state << 17n) & 0xffffffffffffffffn;
  return Number((state >> 16n) % BigInt(limit));
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
function seal(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(16)) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  new DataView(bytes.buffer).setUint32(12, ~crc >>> 0, true);
  return bytes;
}

let refused = 0;
let answered = 0;
async function offer(bytes) {
  try {
    const classify = await pipeline(bytes, { onError: "return" });
    const said = classify.readsPairs ? classify("a text", "another") : classify("a text");
    if (said.error === undefined && !(said.exit >= 1)) throw new Error("no answer");
    answered += 1;
    classify.dispose();
  } catch (error) {
    if (!(error instanceof BeexError) || !/^[A-Z].+\.$/s.test(error.message)) throw error;
    refused += 1;
  }
}

for (const model of models) {
  const whole = new Uint8Array(await readFile(model));
  const classify = await pipeline(whole);
  const before = JSON.stringify(classify("a text of some words"));
  for (let i = 0; i < 20; i++) await offer(whole.slice(0, random(whole.length)));
  for (let i = 0; i < 20; i++) await offer(Uint8Array.from({ length: random(2000) }, () => random(256)));
  for (let i = 0; i < 200; i++) {
    const bytes = whole.slice();
    const place = random(i % 2 ? 256 : whole.length);
    if (i % 4 < 2) bytes[place] ^= 1 << random(8);
    else new DataView(bytes.buffer).setUint32(place & ~3, [0, 1, 0x7fffffff, 0xffffffff][random(4)], true);
    await offer(i % 5 ? seal(bytes) : bytes);
  }
  for (const value of [undefined, null, {}, [], 5]) await offer(value);
  if (JSON.stringify(classify("a text of some words")) !== before) throw new Error("it does not work on");
}
console.log(JSON.stringify({ refused, answered }));
