/* Seconds of the processor for whole passes over texts in Node, in turns: what else the machine does counts
 * little. Standard input: JSON from web.py. Standard output: the seconds of each contender, a number a round. A
 * pass classifies one text at a time, as a page does.
 */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { index, modules, model, runtime, onnx, texts, rows, rounds } = JSON.parse(await text(process.stdin));
const { pipeline } = await import(pathToFileURL(index));
const ort = await import(pathToFileURL(runtime));
const contenders = {};
let exits = 0;

for (const [name, file] of Object.entries(modules)) {
  const wasm = await readFile(file);
  if (!WebAssembly.validate(wasm)) continue; // a Node without relaxed vectors
  const classify = await pipeline(model, { wasm });
  const deep = await pipeline(model, { wasm, policy: { name: "fixed_depth", threshold: classify.numExits } });
  contenders[`beex-keras, ${name}`] = () => {
    exits = 0;
    for (const one of texts) exits += classify(one).exit;
  };
  contenders[`beex-keras, ${name}, all blocks`] = () => texts.forEach((one) => deep(one));
}

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(onnx));
const tensor = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
contenders["onnxruntime-web, int8"] = async () => {
  for (const ids of rows) {
    const all = {
      input_ids: tensor(ids),
      attention_mask: tensor(ids.map(() => 1)),
      token_type_ids: tensor(ids.map(() => 0)),
    };
    await session.run(Object.fromEntries(session.inputNames.map((name) => [name, all[name]])));
  }
};

const seconds = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, pass] of Object.entries(contenders)) {
    const start = process.cpuUsage();
    await pass();
    const { user, system } = process.cpuUsage(start);
    if (round >= 0) seconds[name].push((user + system) / 1e6);
  }
}
process.stdout.write(JSON.stringify({ seconds, exits: exits / texts.length, node: process.version }));
