/* The interface; index.d.ts says what each part does. */
import { read } from "./read.js";
import { Engine } from "./engine.js";
import { BeexError } from "./errors.js";
import { loadModule } from "./variants.js";

export { BeexError };

const OPTIONS = ["wasm", "integrity", "policy", "truncate", "onError", "topK"];

export async function pipeline(source, options) {
  const { wasm, integrity, truncate = true, onError = "raise", topK, policy, ...others } = options ?? {};
  for (const name of Object.keys(others)) {
    throw new BeexError(`There is no option '${name}'; choose one of ${OPTIONS.join(", ")}.`);
  }
  if (typeof truncate !== "boolean") {
    throw new BeexError(`truncate '${truncate}' must be true or false.`);
  }
  if (onError !== "raise" && onError !== "return") {
    throw new BeexError(`onError '${onError}' must be 'raise' or 'return'.`);
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    throw new BeexError(`topK ${topK} must be a whole number of at least 1.`);
  }
  const [module, file] = await Promise.all([loadModule(wasm), bytesOf(source, integrity)]);
  let engine = new Engine(module, file);
  let rule = policy === undefined ? engine.policy : engine.checked(policy);

  function current() {
    if (!engine) throw new BeexError("The pipeline was disposed of; make another one.");
    return engine;
  }

  /* What the exits say to a text, after its checks. */
  function run(text, pair, number, throughAll) {
    const engine = current();
    const name = number === undefined ? "The text" : `Text ${number.toLocaleString("en")}`;
    check(engine, text, pair, name);
    const tokens = engine.encode(text, pair);
    const isLonger = tokens > engine.textLength;
    if (isLonger && !truncate) {
      throw new BeexError(
        `${name} has ${tokens} tokens, the model reads ${engine.textLength}: shorten it, or allow truncation.`,
      );
    }
    return { exits: engine.run(rule, throughAll), truncated: isLonger };
  }

  function said(exit) {
    const engine = current();
    if (engine.answersNumber) return { value: exit.values[0] };
    const probabilities = engine.labels.map((label, i) => ({ label, score: exit.values[i] }));
    if (topK !== undefined) {
      probabilities.sort((a, b) => b.score - a.score).splice(topK);
    }
    return { label: engine.labels[exit.label], score: exit.probability, probabilities };
  }

  function predict(text, pair, number) {
    try {
      const { exits, truncated } = run(text, pair, number, false);
      return { ...said(exits.at(-1)), exit: exits.length, truncated };
    } catch (error) {
      if (onError === "raise" || !engine || !(error instanceof BeexError)) throw error;
      return { error: error.message };
    }
  }

  function classify(texts, pairs) {
    if (!Array.isArray(texts)) return predict(texts, pairs);
    const given = Array.isArray(pairs) ? pairs.length : "no list of";
    if (pairs !== undefined && given !== texts.length) {
      throw new BeexError(`${texts.length} texts came with ${given} second texts; give one for each.`);
    }
    return texts.map((text, i) => predict(text, pairs?.[i], i + 1));
  }

  classify.exits = (text, pair) => {
    const { exits, truncated } = run(text, pair, undefined, true);
    return {
      exit: exits.findIndex(({ isTaken }) => isTaken) + 1,
      truncated,
      exits: exits.map((exit) => ({ ...said(exit), policyScore: exit.score })),
    };
  };

  classify.dispose = () => {
    engine = undefined;
  };

  Object.defineProperty(classify, "policy", {
    enumerable: true,
    get: () => rule,
    set: (policy) => {
      rule = current().checked(policy);
    },
  });
  const { labels, numExits, readsPairs, textLength, answersNumber } = engine;
  const facts = { numExits, readsPairs, textLength, answersNumber };
  return Object.assign(classify, facts, { labels: answersNumber ? Object.freeze([]) : labels });
}

async function bytesOf(source, integrity) {
  let bytes;
  if (source instanceof ArrayBuffer) {
    bytes = new Uint8Array(source);
  } else if (ArrayBuffer.isView(source)) {
    bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  } else if (typeof source === "string" || source instanceof URL) {
    try {
      bytes = await read(String(source));
    } catch (error) {
      throw new BeexError(`The model at ${source} cannot be loaded: ${error.message}.`, { cause: error });
    }
  } else {
    throw new BeexError("A model is given by its URL, or by the bytes of a .beex file.");
  }
  if (integrity !== undefined) await checkIntegrity(bytes, integrity);
  return bytes;
}

/* As the attribute of HTML: hashes with spaces between, of which one has to fit. */
async function checkIntegrity(bytes, integrity) {
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) throw new BeexError("Integrity can be checked only in a secure context: serve the page over HTTPS.");
  const found = String(integrity).trim().split(/\s+/).map((hash) => /^sha(256|384|512)-(.+)$/.exec(hash));
  if (found.includes(null)) {
    throw new BeexError(`integrity '${integrity}' must be sha256-, sha384- or sha512- and a hash in base64.`);
  }
  for (const [, bits, expected] of found) {
    const digest = new Uint8Array(await subtle.digest(`SHA-${bits}`, bytes));
    if (btoa(String.fromCharCode(...digest)) === expected) return;
  }
  throw new BeexError("The model is another one than its integrity says: update the hash, or load the right file.");
}

function check(engine, text, pair, name) {
  if (!engine.hasVocabulary) {
    throw new BeexError("The model has no vocabulary, so it cannot read text; convert it with its vocabulary.");
  }
  if (engine.readsPairs && pair === undefined) {
    throw new BeexError(`${name} is one text, and the model reads pairs; give a second text.`);
  }
  if (!engine.readsPairs && pair !== undefined) {
    throw new BeexError(`${name} is a pair, and the model reads single texts; give one text.`);
  }
  for (const part of pair === undefined ? [text] : [text, pair]) {
    if (typeof part !== "string") {
      throw new BeexError(`${name} is ${part === null ? "null" : `of type ${typeof part}`}; give it as a string.`);
    }
    if (/^[\p{White_Space}\x1c-\x1f]*$/u.test(part)) {
      throw new BeexError(`${name} is empty; remove it or fill it.`);
    }
    if (/\p{Surrogate}/u.test(part)) {
      throw new BeexError(`${name} is not valid Unicode; repair its encoding.`);
    }
  }
}
