/** What a caller can mend: its message is one sentence that says what is wrong, and what to do. */
export declare class BeexError extends Error {
  readonly name: "BeexError";
}

/** When a model leaves: at the first exit whose score passes the threshold, or else at its last. */
export interface Policy {
  /** `change` is for models that answer a number. */
  name: "fractional_entropy" | "entropy" | "confidence" | "patience" | "fixed_depth" | "change";
  /** Whole and at least 1 for `patience` and `fixed_depth`. */
  threshold: number;
  /** Whether an exit is taken below the threshold, or else not below it. By default as the policy is meant. */
  below?: boolean;
}

export interface Options {
  /**
   * The engine's module: an address, bytes or a compiled module. By default the package loads its own, of which
   * there are three, from where it lies itself, and takes the fastest one that the browser accepts.
   */
  wasm?: string | URL | BufferSource | WebAssembly.Module;
  /** Hashes of the model's file, as in HTML: sha256-, sha384- or sha512- and base64. */
  integrity?: string;
  /** An exit policy in place of the model's own. */
  policy?: Policy;
  /** Cut texts that are longer than the model reads, which `truncated` then says; true by default. */
  truncate?: boolean;
  /** "raise" at the first text that cannot be classified, by default, or "return" a `Failure` in its place. */
  onError?: "raise" | "return";
  /** Labels that `probabilities` shall have, the most probable first; all in their order by default. */
  topK?: number;
}

export interface LabelScore {
  label: string;
  /** The softmax probability, a float32. */
  score: number;
}

export interface Answer {
  /** The most probable class. */
  label: string;
  /** Its softmax probability, a float32 of the same bits on every machine. */
  score: number;
  probabilities: LabelScore[];
  /** What a model that answers a number says; it has neither label nor score nor probabilities. */
  value?: undefined;
}

export interface NumberAnswer {
  /** The number, a float32 of the same bits on every machine. */
  value: number;
  label?: undefined;
  score?: undefined;
  probabilities?: undefined;
}

/** What a model says about a text. */
export type Prediction = (Answer | NumberAnswer) & {
  /** The exit taken, counted from 1. */
  exit: number;
  /** Whether the text was cut, because it is longer than the model reads. */
  truncated: boolean;
  error?: undefined;
};

/** Stands in the place of a prediction where `onError` is "return". */
export interface Failure {
  error: string;
  label?: undefined;
  score?: undefined;
  value?: undefined;
  probabilities?: undefined;
  exit?: undefined;
  truncated?: undefined;
}

/** What every exit says about a text. */
export interface Exits {
  /** The exit that the policy takes, counted from 1. */
  exit: number;
  truncated: boolean;
  /** All exits; `policyScore` is what the policy compares with its threshold. */
  exits: ((Answer | NumberAnswer) & { policyScore: number })[];
}

export interface Facts {
  /** The names of the classes; none of a model that answers a number. */
  readonly labels: readonly string[];
  readonly numExits: number;
  readonly readsPairs: boolean;
  readonly answersNumber: boolean;
  /** The most tokens of a text that it reads. */
  readonly textLength: number;
}

export interface Classifier<Result> extends Facts {
  /** One text, or a pair of texts. */
  (text: string, pair?: string): Result;
  /** Many texts, with as many second texts for a model of pairs. */
  (texts: readonly string[], pairs?: readonly string[]): Result[];
  /** The exit policy, which may be set. */
  get policy(): Readonly<Required<Policy>>;
  set policy(policy: Policy);
  /** What every exit says, the deeper ones included. It throws whatever `onError` is. */
  exits(text: string, pair?: string): Exits;
  /** Frees the memory; later calls throw. */
  dispose(): void;
}

/**
 * A classifier of texts.
 *
 * Each has an instance of the engine and its memory; the module is compiled once. Calls compute at once, on the
 * thread that makes them.
 *
 * @param source the address of a `.beex` file, in Node also a path, or its bytes, which are copied.
 * @throws {BeexError} the model, the engine or an option is not what it should be. Calls throw it for a text that
 * cannot be classified.
 *
 * @example
 * import { pipeline } from "beex-keras";
 * import model from "beex-keras/models/sst2-micro";
 * const classify = await pipeline(model);
 * classify("what a lovely film").label; // "positive"
 */
export declare function pipeline(
  source: string | URL | BufferSource,
  options?: Options & { onError?: "raise" },
): Promise<Classifier<Prediction>>;
export declare function pipeline(
  source: string | URL | BufferSource,
  options: Options,
): Promise<Classifier<Prediction | Failure>>;
