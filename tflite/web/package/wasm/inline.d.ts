/** The engine's module as bytes, for `pipeline(model, { wasm })`. */
declare const wasm: Uint8Array<ArrayBuffer>;
export default wasm;
