/* What is refused, and by which sentence. Arguments: the package's index.js, its models' folder. */
const [, , index, models] = process.argv;
const { BeexError, pipeline } = await import(index);
const { default: model, integrity } = await import(`${models}/sst2-micro.js`);

async function sentence(call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof BeexError) return error.message;
    throw error;
  }
  return "";
}

const EMPTY = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
const classify = await pipeline(model, { integrity });
const strict = await pipeline(model, { truncate: false, onError: "return", topK: 1 });
const gone = await pipeline(model);
gone.dispose();
const said = {
  empty: await sentence(() => classify(" \n")),
  number: await sentence(() => classify(5)),
  pair: await sentence(() => classify("a", "b")),
  surrogate: await sentence(() => classify(["a", "\ud800"])),
  lists: await sentence(() => classify(["a"], ["b", "c"])),
  list: await sentence(() => classify(["a", "b"], "cd")),
  option: await sentence(() => pipeline(model, { topk: 1 })),
  truncate: await sentence(() => pipeline(model, { truncate: "no" })),
  foreign: await sentence(() => pipeline(model, { wasm: new WebAssembly.Module(EMPTY) })),
  disposed: await sentence(() => gone("a")),
  policy: await sentence(() => (classify.policy = { name: "sometimes", threshold: 1 })),
  change: await sentence(() => (classify.policy = { name: "change", threshold: 1 })),
  threshold: await sentence(() => (classify.policy = { name: "entropy", threshold: NaN })),
  whole: await sentence(() => (classify.policy = { name: "patience", threshold: 1.5 })),
  nowhere: await sentence(() => pipeline("nowhere.beex")),
  integrity: await sentence(() => pipeline(model, { integrity: integrity.replace(/.{4}=*$/, "AAAA") })),
  hash: await sentence(() => pipeline(model, { integrity: "md5-abc" })),
  topK: await sentence(() => pipeline(model, { topK: 0 })),
  onError: await sentence(() => pipeline(model, { onError: "ignore" })),
  wasm: await sentence(() => pipeline(model, { wasm: new Uint8Array(8) })),
  source: await sentence(() => pipeline(7)),
};
const long = "word ".repeat(100);
console.log(
  JSON.stringify({
    said,
    truncated: classify(long).truncated,
    returned: strict(["fine", "", long]),
    policy: classify.policy.name,
    frozen: [classify.labels, classify.policy].every(Object.isFrozen),
    bare: (await pipeline(model, null)).numExits,
  }),
);
