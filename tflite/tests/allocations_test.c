/* Counts the allocations of an engine that runs, by any function of the process: the C library's are
 * replaced by those here.
 *
 *     allocations_test MODEL.beex...
 */
#include "../engine/internal.h"
#include "read_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* === The replacement: it hands out one block of memory, and takes nothing back === */

static struct {
  unsigned char bytes[1 << 24];
  long double alignment;
} memory;
static size_t used;
static long calls;

void *malloc(size_t size) {
  calls++;
  const size_t room = BEEX_ROUND_UP(size, 16) + 16;
  if (size > sizeof memory.bytes || room > sizeof memory.bytes - used) return NULL;
  unsigned char *place = memory.bytes + used;
  used += room;
  memcpy(place, &size, sizeof size);
  return place + 16;
}

void free(void *place) { calls += place != NULL; }

void *calloc(size_t count, size_t size) { return malloc(count * size); /* zeros, never used before */ }

void *realloc(void *place, size_t size) {
  void *larger = malloc(size);
  size_t old = 0;
  if (place) memcpy(&old, (unsigned char *)place - 16, sizeof old);
  if (place && larger) memcpy(larger, place, old < size ? old : size);
  return larger;
}

void *aligned_alloc(size_t alignment, size_t size) {
  (void)alignment, (void)size;
  calls++;
  return NULL;
}

int posix_memalign(void **place, size_t alignment, size_t size) {
  *place = aligned_alloc(alignment, size);
  return 1;
}

/* === The test === */

/* All that is done with a model, from its file on. */
static int use(const void *data, size_t size, void *arena, size_t arena_size,
               const beex_options *options) {
  static const char text[] = "A caf\xc3\xa9, \xe4\xb8\xad\xe6\x96\x87 unaffable!";
  beex_model model;
  beex_engine engine;
  beex_result result;
  if (beex_open(&model, data, size) != BEEX_OK) return 0;
  if (beex_start(&engine, &model, arena, arena_size, options) != BEEX_OK) return 0;
  size_t count;
  int32_t ids[512];
  const char *pair = model.header->num_segments > 1 ? text : NULL;
  if (model.header->text_length > 512) return 0;
  if (beex_encode(&model, text, sizeof text - 1, pair, 5, 1, ids, &count) != BEEX_OK) return 0;
  for (uint32_t kind = BEEX_FRACTIONAL_ENTROPY; kind <= BEEX_FIXED_DEPTH; kind++) {
    const beex_policy policy = {kind, 0, 0.1f};
    if (beex_run(&engine, ids, count, &policy, &result) != BEEX_OK) return 0;
  }
  if (beex_classify(&engine, text, sizeof text - 1, pair, 5, &result) != BEEX_OK) return 0;
  float values[256];
  if (beex_exits(&engine, values, sizeof values / sizeof *values, &count) != BEEX_OK) return 0;
  return *beex_label(&model, result.label) != 0;
}

int main(int count, char **arguments) {
  int failures = 0;
  for (int i = 1; i < count; i++) {
    size_t size;
    const void *data = read_file(arguments[i], &size);
    beex_model model;
    if (beex_open(&model, data, size) != BEEX_OK) return 2;
    const size_t sizes[2] = {beex_arena_size(&model), beex_best_arena_size(&model)};
    void *arena = malloc(sizes[1]);
    if (!arena) return 2;
    for (const beex_kernels *const *k = beex_available_kernels(); *k; k++) {
      for (int large = 0; large < 2; large++) {
        const beex_options options = {*k};
        const long before = calls;
        if (!use(data, size, arena, sizes[large], &options)) return 2;
        if (calls == before) continue;
        printf("FAIL %s %s: %ld allocations\n", arguments[i], (*k)->name, calls - before);
        failures++;
      }
    }
    free(arena);
  }
  if (calls < 4 * (count - 1)) return 2; /* those of this file went uncounted */
  if (!failures) puts("no allocation");
  return failures != 0;
}
