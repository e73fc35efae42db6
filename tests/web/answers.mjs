/* What the package says of texts, as exact numbers. Standard input: JSON with the package's index.js, a module, and
 * jobs of a model's file, texts, maybe second texts and a policy. Standard output: the answers of each job.
 */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";

const { index, wasm, jobs } = JSON.parse(await text(process.stdin));
const { pipeline } = await import(index);
const module = await WebAssembly.compile(await readFile(wasm));

const answers = [];
for (const { model, texts, pairs } of jobs) {
  const classify = await pipeline(await readFile(model), { wasm: module });
  const said = classify(texts, pairs);
  const exits = pairs ? classify.exits(texts[0], pairs[0]) : classify.exits(texts[0]);
  answers.push({ said, exits, labels: classify.labels });
  classify.dispose();
}
process.stdout.write(JSON.stringify(answers));
