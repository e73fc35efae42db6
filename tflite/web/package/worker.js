/* A pipeline in a worker, so that a page stays responsive: the calls of index.js, each of which is answered
 * later. worker-thread.js is its other end.
 */
import { BeexError } from "./errors.js";

export { BeexError };

export async function pipeline(source, options) {
  if (typeof Worker === "undefined") {
    throw new BeexError("There is no Worker here; import 'beex-keras' in a thread of your own.");
  }
  const worker = new Worker(new URL("./worker-thread.js", import.meta.url), { type: "module" });
  const waiting = new Map(); // calls by their numbers
  let calls = 0;
  let disposed = false;

  function fail(error) {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  worker.onmessage = ({ data: { call, result, error, isBeexError } }) => {
    const { resolve, reject } = waiting.get(call) ?? {};
    waiting.delete(call);
    if (error === undefined) resolve?.(result);
    else reject?.(isBeexError ? new BeexError(error) : new Error(error));
  };
  worker.onerror = (event) => {
    fail(new BeexError(`The worker cannot be loaded: ${event.message || "see the console"}.`));
  };

  function ask(name, ...values) {
    if (disposed) throw new BeexError("The pipeline was disposed of; make another one.");
    return new Promise((resolve, reject) => {
      calls += 1;
      try {
        worker.postMessage({ call: calls, name, values });
      } catch (error) {
        throw new BeexError(`A worker cannot be given this: ${error.message}.`, { cause: error });
      }
      waiting.set(calls, { resolve, reject });
    });
  }

  function dispose() {
    disposed = true;
    worker.terminate();
    fail(new BeexError("The pipeline was disposed of; make another one."));
  }

  try {
    const facts = await ask("pipeline", absolute(source), { ...options, wasm: absolute(options?.wasm) });
    const classify = async (texts, pairs) => ask("classify", texts, pairs);
    return Object.assign(classify, facts, {
      exits: async (text, pair) => ask("exits", text, pair),
      setPolicy: async (policy) => ask("setPolicy", policy),
      dispose,
    });
  } catch (error) {
    worker.terminate();
    throw error;
  }
}

/* A worker resolves addresses against its own file, and takes no URL. */
function absolute(source) {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  return String(base === undefined ? source : new URL(source, base));
}
