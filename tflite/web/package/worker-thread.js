/* What runs in the worker: one pipeline, and the calls of worker.js. */
import { BeexError, pipeline } from "./index.js";

let classify;

const CALLS = {
  async pipeline(source, options) {
    classify = await pipeline(source, options);
    const { labels, numExits, readsPairs, textLength, answersNumber } = classify;
    return { labels, numExits, readsPairs, textLength, answersNumber };
  },
  classify: (texts, pairs) => classify(texts, pairs),
  exits: (text, pair) => classify.exits(text, pair),
  setPolicy: (policy) => {
    classify.policy = policy;
  },
};

self.onmessage = async ({ data: { call, name, values } }) => {
  try {
    self.postMessage({ call, result: await CALLS[name](...values) });
  } catch (error) {
    self.postMessage({ call, error: error.message, isBeexError: error instanceof BeexError });
  }
};
