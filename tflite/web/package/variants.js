/* The module for this browser: which of its builds, known before one is downloaded. */
import { BeexError } from "./errors.js";
import { read } from "./read.js";

/* A module with a function of these instructions, which is valid where the browser has them. */
function accepts(...instructions) {
  const body = [0, ...instructions, 11];
  const sections = [
    [1, 1, 96, 0, 1, 123], // a type: no arguments, a vector
    [3, 1, 0],
    [10, 1, body.length, ...body],
  ];
  const bytes = sections.flatMap(([id, ...content]) => [id, content.length, ...content]);
  return WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, ...bytes));
}

const ZEROS = [65, 0, 253, 15]; // i32.const 0, i8x16.splat

/** "relaxed", "simd" or "plain". */
export function bestVariant() {
  if (accepts(...ZEROS, ...ZEROS, 253, 128, 2)) return "relaxed"; // i8x16.relaxed_swizzle
  return accepts(...ZEROS) ? "simd" : "plain";
}

/* By names that bundlers can read. */
const FILES = {
  relaxed: () => new URL("./wasm/relaxed.wasm", import.meta.url),
  simd: () => new URL("./wasm/simd.wasm", import.meta.url),
  plain: () => new URL("./wasm/plain.wasm", import.meta.url),
};

let own; // the compiled module of the package, once it was asked for

async function compile(source) {
  try {
    const isLocation = typeof source === "string" || source instanceof URL;
    return await WebAssembly.compile(isLocation ? await read(String(source)) : source);
  } catch (error) {
    throw new BeexError(`The engine cannot be loaded: ${error.message}.`, { cause: error });
  }
}

/** The compiled module: of a URL, of bytes, as it is, or of the package itself. */
export function loadModule(source) {
  if (source instanceof WebAssembly.Module) return source;
  if (source !== undefined) return compile(source);
  own ??= compile(FILES[bestVariant()]()).catch((error) => {
    own = undefined; // so that another call tries again
    throw error;
  });
  return own;
}
