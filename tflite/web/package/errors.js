/** What a caller can mend: one sentence that says what is wrong, and what to do. */
export class BeexError extends Error {
  name = "BeexError";
}
