/* What the Python package calls: batches, on memory that Python owns. No Python in it: the calls are made
 * by ctypes, which lets other threads run meanwhile.
 */
#ifndef BEEX_BINDING_H
#define BEEX_BINDING_H

#include "beex.h"

/* Both are opaque to Python. */
BEEX_API size_t beex_model_bytes(void);
BEEX_API size_t beex_engine_bytes(void);

/* beex_start with kernels by name, or the best if it is null or "". BEEX_ERROR_PLATFORM if this machine
 * cannot run them. */
BEEX_API beex_status beex_start_named(beex_engine *engine, const beex_model *model, void *arena,
                                      size_t arena_size, const char *kernels);

/* The name of the kernels that an engine runs on. */
BEEX_API const char *beex_engine_kernels(const beex_engine *engine);

/* The compiler that made this library. */
BEEX_API const char *beex_compiler(void);

/* Runs rows of ids [rows][stride], 0-padded at the end. exits [rows], counted from 1; logits
 * [rows][num_blocks][num_classes], zeros behind the exit taken. *done is the rows that were run; the
 * status is that of the next. */
BEEX_API beex_status beex_run_rows(beex_engine *engine, const int32_t *ids, size_t rows, size_t stride,
                                   const beex_policy *policy, int32_t *exits, float *logits,
                                   size_t *done);

/* UTF-8 texts of the given sizes to ids [rows][text_length], 0 behind the last; pairs may be null. Longer
 * texts are cut; tokens [rows] counts what they had. *done is the rows that were read; the status is that
 * of the next. */
BEEX_API beex_status beex_encode_texts(beex_engine *engine, const char *const *texts,
                                       const size_t *sizes, const char *const *pairs,
                                       const size_t *pair_sizes, size_t rows, int32_t *ids,
                                       size_t *tokens, size_t *done);

#endif
