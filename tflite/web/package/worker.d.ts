import type { Exits, Facts, Failure, Options, Policy, Prediction } from "./index.js";

export { BeexError } from "./index.js";
export type { Exits, Failure, Options, Policy, Prediction } from "./index.js";

export interface WorkerClassifier<Result> extends Facts {
  (text: string, pair?: string): Promise<Result>;
  (texts: readonly string[], pairs?: readonly string[]): Promise<Result[]>;
  setPolicy(policy: Policy): Promise<void>;
  exits(text: string, pair?: string): Promise<Exits>;
  /** Ends the worker; calls that wait are rejected. */
  dispose(): void;
}

/** As `pipeline` of "beex-keras", in a worker of its own: the page stays responsive meanwhile. */
export declare function pipeline(
  source: string | URL | BufferSource,
  options?: Options & { onError?: "raise" },
): Promise<WorkerClassifier<Prediction>>;
export declare function pipeline(
  source: string | URL | BufferSource,
  options: Options,
): Promise<WorkerClassifier<Prediction | Failure>>;
