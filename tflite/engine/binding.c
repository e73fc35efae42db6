#include "binding.h"

#include <string.h>

#include "internal.h"

size_t beex_model_bytes(void) { return sizeof(beex_model); }
size_t beex_engine_bytes(void) { return sizeof(beex_engine); }

beex_status beex_start_named(beex_engine *engine, const beex_model *model, void *arena,
                             size_t arena_size, const char *kernels) {
  beex_options options = {NULL};
  if (kernels && *kernels) {
    options.kernels = beex_find_kernels(kernels);
    if (!options.kernels) return BEEX_ERROR_PLATFORM;
  }
  return beex_start(engine, model, arena, arena_size, &options);
}

const char *beex_engine_kernels(const beex_engine *engine) {
  return beex_kernels_name(engine->kernels);
}

#if defined(__clang__)
const char *beex_compiler(void) { return __VERSION__; }
#elif defined(__GNUC__)
const char *beex_compiler(void) { return "GCC " __VERSION__; }
#else
const char *beex_compiler(void) { return "an unknown compiler"; }
#endif

/* One row, and its logits to where they belong. */
static beex_status run(beex_engine *engine, const int32_t *ids, size_t count,
                       const beex_policy *policy, int32_t *exit, float *logits) {
  const beex_header *h = engine->model->header;
  beex_result result;
  const beex_status status = beex_run(engine, ids, count, policy, &result);
  if (status != BEEX_OK) return status;
  const size_t taken = result.exit * h->num_classes, all = (size_t)h->num_blocks * h->num_classes;
  memcpy(logits, engine->logits, taken * sizeof *logits);
  memset(logits + taken, 0, (all - taken) * sizeof *logits);
  *exit = (int32_t)result.exit;
  return BEEX_OK;
}

beex_status beex_run_rows(beex_engine *engine, const int32_t *ids, size_t rows, size_t stride,
                          const beex_policy *policy, int32_t *exits, float *logits, size_t *done) {
  const beex_header *h = engine->model->header;
  const size_t all = (size_t)h->num_blocks * h->num_classes;
  for (*done = 0; *done < rows; ++*done) {
    const beex_status status = run(engine, ids + *done * stride, stride, policy, exits + *done,
                                   logits + *done * all);
    if (status != BEEX_OK) return status;
  }
  return BEEX_OK;
}

beex_status beex_encode_texts(beex_engine *engine, const char *const *texts, const size_t *sizes,
                              const char *const *pairs, const size_t *pair_sizes, size_t rows,
                              int32_t *ids, size_t *tokens, size_t *done) {
  const size_t length = engine->model->header->text_length;
  for (*done = 0; *done < rows; ++*done, ids += length) {
    const size_t row = *done;
    size_t count;
    const beex_status status =
        beex_encode_all(engine->model, texts[row], sizes[row], pairs ? pairs[row] : NULL,
                        pairs ? pair_sizes[row] : 0, 1, ids, &count, tokens + row);
    if (status != BEEX_OK) return status;
    memset(ids + count, 0, (length - count) * sizeof *ids);
  }
  return BEEX_OK;
}
