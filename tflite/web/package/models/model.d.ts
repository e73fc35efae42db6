/** Where the model's file lies. */
declare const model: URL;
export default model;

/** The file's hash, for `pipeline(model, { integrity })`. */
export declare const integrity: string;
