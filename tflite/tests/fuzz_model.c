/* Fuzz target of the model loader: any bytes are refused, or run without reaching beyond memory.
 *
 * Size and checksum are put right first, or nothing would get past them. With libFuzzer:
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined tflite/tests/fuzz_model.c \
 *         tflite/engine/[a-z]*.c tflite/kernels/[a-z]*.c -o fuzz_model
 *     ./fuzz_model -max_len=65536 FOLDER_WITH_SMALL_BEEX_FILES
 */
#include "../engine/internal.h"

#include <stdlib.h>
#include <string.h>

#define MOST_MEMORY ((size_t)1 << 24)

static void use(const beex_model *model) {
  static const char text[] = "A caf\xc3\xa9, \xe4\xb8\xad\xe6\x96\x87 unaffable!";
  const beex_header *h = model->header;
  const size_t arena_size = beex_best_arena_size(model);
  if (arena_size > MOST_MEMORY || h->num_blocks > 64 || h->width > 4096 || h->hidden_width > 4096) {
    return; /* valid, and slow */
  }
  beex_engine engine;
  beex_result result;
  const size_t least = beex_arena_size(model);
  void *arena = malloc(arena_size), *small_arena = malloc(least);
  for (int int8_activations = 0; int8_activations < 2; int8_activations++) {
    const beex_options options = {NULL, int8_activations};
    if (!arena || !small_arena) abort();
    if (beex_start(&engine, model, small_arena, least - 1, &options) == BEEX_OK) abort();
    if (beex_start(&engine, model, int8_activations ? arena : small_arena,
                   int8_activations ? arena_size : least, &options) != BEEX_OK) {
      abort();
    }
    const int32_t ids[4] = {1 % (int32_t)h->vocabulary_size, (int32_t)h->vocabulary_size - 1, 0,
                            (int32_t)(h->separator_id % h->vocabulary_size)};
    const size_t count = h->length < 4 ? h->length : 4;
    if (beex_run(&engine, ids, count, NULL, &result) != BEEX_OK) abort();
    if (result.exit < 1 || result.exit > h->num_blocks || result.label >= h->num_classes) abort();
    (void)strlen(beex_label(model, result.label));
    const char *pair = h->num_segments > 1 ? text : NULL;
    const beex_status status = beex_classify(&engine, text, sizeof text - 1, pair, 5, &result);
    if (status != BEEX_OK && h->has_vocabulary) abort();
  }
  free(arena);
  free(small_arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* As large as the input and no larger, so that any byte beyond it is noticed. */
  unsigned char *copy = malloc(size ? size : 1);
  if (!copy) return 0;
  memcpy(copy, data, size);
  const size_t checked = offsetof(beex_header, checksum) + 4;
  if (size >= checked) {
    const uint32_t file_size = (uint32_t)size, checksum = beex_crc32(copy + checked, size - checked);
    memcpy(copy + offsetof(beex_header, size), &file_size, 4);
    memcpy(copy + offsetof(beex_header, checksum), &checksum, 4);
  }
  beex_model model;
  if (beex_open(&model, copy, size) == BEEX_OK) use(&model);
  free(copy);
  return 0;
}
