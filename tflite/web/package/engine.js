/* The engine on one model: an instance of the module, and what lies in its memory. */
import { BeexError } from "./errors.js";

/* As tflite/engine/beex.h numbers them, with what each compares with its threshold. */
const POLICIES = [
  { name: "fractional_entropy", below: true },
  { name: "entropy", below: true },
  { name: "confidence", below: false },
  { name: "patience", below: false, counts: true },
  { name: "fixed_depth", below: false, counts: true },
  { name: "change", below: true },
];

const POLICY_SIZE = 12; // kind, below, threshold
const FACTS = 6; // numbers in front of the policy
const ANSWER = 4; // numbers an exit
const PAGE = 65536;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/* An instance of the engine's module, and of no other. */
function instance(module) {
  if (!WebAssembly.Module.exports(module).some(({ name }) => name === "__heap_base")) {
    throw new BeexError("The option wasm is another module than the engine; leave it out, or give beex-keras/wasm.");
  }
  return new WebAssembly.Instance(module);
}

export class Engine {
  #exports;
  #end; // of the memory in use, where texts begin
  #policy;
  #answers;
  #values;

  /** Takes the file's bytes in; they are copied. */
  constructor(module, file) {
    this.#exports = instance(module).exports;
    this.#end = this.#exports.__heap_base.value;
    const data = this.#reserve(file.length);
    new Uint8Array(this.#buffer, data, file.length).set(file);
    const status = this.#exports.open(data, file.length);
    if (status) throw new BeexError(`The model cannot be read: ${this.#message(status)}.`);
    this.#policy = this.#reserve(POLICY_SIZE);
    this.#readFacts();
    this.#answers = this.#reserve(4 * ANSWER * this.numExits);
    this.#values = this.#reserve(4 * this.numExits * this.labels.length);
    const size = this.#exports.arena_size() >>> 0;
    this.#check(this.#exports.start(this.#reserve(size), size), "The engine cannot start");
  }

  get #buffer() {
    return this.#exports.memory.buffer;
  }

  /* Memory up to an address. */
  #grow(end) {
    const missing = end - this.#buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.#exports.memory.grow(Math.ceil(missing / PAGE));
    } catch {
      throw new BeexError(`There is no memory for ${end.toLocaleString("en")} bytes; free some, or use a smaller model.`);
    }
  }

  #reserve(size) {
    const start = Math.ceil(this.#end / 64) * 64;
    this.#grow(start + size);
    this.#end = start + size;
    return start;
  }

  #string(address) {
    const bytes = new Uint8Array(this.#buffer, address);
    return decoder.decode(bytes.subarray(0, bytes.indexOf(0)));
  }

  #message(status) {
    return this.#string(this.#exports.message(status));
  }

  #check(status, subject) {
    if (status) throw new BeexError(`${subject}: ${this.#message(status)}.`);
  }

  #readFacts() {
    const facts = this.#reserve(4 * FACTS + POLICY_SIZE);
    this.#exports.facts(facts);
    const numbers = new Uint32Array(this.#buffer, facts, FACTS + 2);
    const [classes, exits, pairs, vocabulary, length, number, kind, below] = numbers;
    const [threshold] = new Float32Array(this.#buffer, facts + 4 * (FACTS + 2), 1);
    const labels = Array.from({ length: classes }, (_, i) => this.#string(this.#exports.label(i)));
    this.labels = Object.freeze(labels); // callers get this very list
    this.numExits = exits;
    this.readsPairs = pairs !== 0;
    this.hasVocabulary = vocabulary !== 0;
    this.textLength = length;
    this.answersNumber = number !== 0;
    this.policy = Object.freeze({ name: POLICIES[kind].name, threshold, below: below !== 0 });
  }

  /** Texts to ids for the next run; the tokens that they have, of which textLength are read. */
  encode(text, pair) {
    const first = this.#end;
    const second = first + 3 * text.length;
    this.#grow(second + 3 * (pair?.length ?? 0) + 1);
    const write = (string, address) =>
      encoder.encodeInto(string, new Uint8Array(this.#buffer, address)).written;
    const paired = pair === undefined ? [0, 0] : [second, write(pair, second)];
    this.#check(this.#exports.encode(first, write(text, first), ...paired), "The text");
    return this.#exports.tokens();
  }

  /** What the exits say to the encoded text: those up to the one that the policy takes, or all. */
  run(policy, throughAll) {
    const kind = POLICIES.findIndex(({ name }) => name === policy.name);
    new Uint32Array(this.#buffer, this.#policy, 2).set([kind, policy.below ? 1 : 0]);
    new Float32Array(this.#buffer, this.#policy + 8, 1)[0] = policy.threshold;
    const status = this.#exports.run(this.#policy, throughAll ? 1 : 0, this.#answers, this.#values);
    this.#check(status, "The text");
    const exits = this.#exports.exits();
    const whole = new Uint32Array(this.#buffer, this.#answers, ANSWER * exits);
    const real = new Float32Array(this.#buffer, this.#answers, ANSWER * exits);
    const classes = this.labels.length;
    return Array.from({ length: exits }, (_, i) => ({
      label: whole[ANSWER * i],
      probability: real[ANSWER * i + 1],
      score: real[ANSWER * i + 2],
      isTaken: whole[ANSWER * i + 3] !== 0 || i + 1 === this.numExits,
      values: new Float32Array(this.#buffer, this.#values + 4 * classes * i, classes).slice(),
    }));
  }

  /** A policy as the engine knows it. */
  checked(policy) {
    const found = POLICIES.find(({ name }) => name === policy?.name);
    if (!found || (found.name === "change" && !this.answersNumber)) {
      const known = POLICIES.map(({ name }) => name).filter((name) => name !== "change" || this.answersNumber);
      throw new BeexError(`There is no exit policy '${policy?.name}' for this model; choose one of ${known.join(", ")}.`);
    }
    const { threshold, below = found.below } = policy;
    if (!Number.isFinite(threshold)) {
      throw new BeexError(`The threshold ${threshold} of the exit policy must be a finite number.`);
    }
    if (found.counts && !(Number.isInteger(threshold) && threshold >= 1)) {
      throw new BeexError(`The threshold ${threshold} of '${found.name}' must be a whole number of at least 1.`);
    }
    return Object.freeze({ name: found.name, threshold, below: Boolean(below) });
  }
}
