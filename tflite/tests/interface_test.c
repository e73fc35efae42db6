/* What a program of one header can do and is refused: it is built against a copy of beex.h, beside which no
 * other of the engine stands.
 *
 *     interface_test SINGLE.beex PAIRS.beex
 *
 * Both are models with a vocabulary, the first of single texts.
 */
#include "beex.h"
#include "read_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define EXPECT(condition)                                       \
  do {                                                          \
    if (!(condition)) {                                         \
      printf("FAIL line %d: %s\n", __LINE__, #condition);       \
      failures++;                                               \
    }                                                           \
  } while (0)

/* Kernels are listed, and chosen by name. */
static void test_kernels(const beex_model *model, void *arena, size_t arena_size) {
  const struct beex_kernels *const *all = beex_available_kernels();
  const struct beex_kernels *last = NULL;
  EXPECT(strcmp(beex_kernels_name(all[0]), "portable") == 0);
  for (; *all; all++) {
    last = *all;
    const beex_options options = {beex_find_kernels(beex_kernels_name(last))};
    EXPECT(options.kernels == last);
    beex_engine engine;
    EXPECT(beex_start(&engine, model, arena, arena_size, &options) == BEEX_OK);
    EXPECT(engine.kernels == last);
  }
  EXPECT(beex_best_kernels() == last);
  EXPECT(beex_find_kernels("mmx") == NULL);
}

/* A null pointer is refused wherever memory would be read or written. */
static void test_null(beex_engine *engine, const beex_model *model, void *arena, size_t arena_size,
                      const void *data, size_t size) {
  beex_model other_model;
  beex_engine other;
  beex_result result;
  int32_t id = 1, *ids = engine->ids;
  size_t count;
  const int text_status = model->header->num_segments > 1 ? BEEX_ERROR_SINGLE : BEEX_OK;
  EXPECT(beex_open(NULL, data, size) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_open(&other_model, NULL, size) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_open(&other_model, NULL, 0) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_start(NULL, model, arena, arena_size, NULL) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_start(&other, NULL, arena, arena_size, NULL) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_start(&other, model, NULL, arena_size, NULL) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_run(NULL, &id, 1, NULL, &result) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_run(engine, NULL, 1, NULL, &result) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_run(engine, &id, 1, NULL, NULL) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_run(engine, NULL, 0, NULL, &result) == BEEX_OK);
  EXPECT(beex_encode(NULL, "a", 1, NULL, 0, 1, ids, &count) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_encode(model, NULL, 1, NULL, 0, 1, ids, &count) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_encode(model, "a", 1, NULL, 0, 1, NULL, &count) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_encode(model, "a", 1, NULL, 0, 1, ids, NULL) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_encode(model, NULL, 0, NULL, 0, 1, ids, &count) == (beex_status)text_status);
  EXPECT(beex_classify(NULL, "a", 1, NULL, 0, &result) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_classify(engine, NULL, 1, NULL, 0, &result) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_classify(engine, "a", 1, NULL, 0, NULL) == BEEX_ERROR_ARGUMENT);
}

/* A model of single texts reads no pair, and one of pairs no single text. */
static void test_pairs(beex_engine *engine, const beex_model *model) {
  const int reads_pairs = model->header->num_segments > 1;
  const char *right = reads_pairs ? "b" : NULL, *wrong = reads_pairs ? NULL : "b";
  const beex_status refused = reads_pairs ? BEEX_ERROR_SINGLE : BEEX_ERROR_PAIR;
  beex_result result;
  size_t count;
  EXPECT(beex_encode(model, "a", 1, right, 1, 0, engine->ids, &count) == BEEX_OK);
  EXPECT(beex_encode(model, "a", 1, wrong, 1, 0, engine->ids, &count) == refused);
  EXPECT(beex_classify(engine, "a", 1, right, 1, &result) == BEEX_OK);
  EXPECT(beex_classify(engine, "a", 1, wrong, 1, &result) == refused);
}

/* A text that was cut is known by its result; one of exactly as many tokens as there is room for was
 * not. */
static void test_truncated(beex_engine *engine, const beex_model *model) {
  const size_t length = model->header->text_length;
  const char *pair = model->header->num_segments > 1 ? "" : NULL;
  const size_t places = length - (pair ? 3 : 2);
  char *text = malloc(2 * places + 2);
  if (!text) exit(2);
  for (size_t i = 0; i <= places; i++) memcpy(text + 2 * i, "a ", 2);
  beex_result whole, cut;
  EXPECT(beex_classify(engine, text, 2 * places, pair, 0, &whole) == BEEX_OK);
  EXPECT(whole.truncated == 0);
  EXPECT(beex_classify(engine, text, 2 * places + 2, pair, 0, &cut) == BEEX_OK);
  EXPECT(cut.truncated == 1);
  EXPECT(cut.score == whole.score && cut.label == whole.label && cut.exit == whole.exit);
  const beex_policy policy = {BEEX_FIXED_DEPTH, 0, 1.0f};
  EXPECT(beex_run(engine, engine->ids, length, &policy, &cut) == BEEX_OK);
  EXPECT(cut.truncated == 0);
  free(text);
}

/* A threshold that is not a number would be neither above nor below any score. */
static void test_policy(beex_engine *engine) {
  const float infinity = 1e30f * 1e30f;
  const beex_policy policy = {BEEX_ENTROPY, 1, infinity - infinity}, open = {BEEX_ENTROPY, 1, infinity};
  const int32_t id = 1;
  beex_result result;
  EXPECT(beex_run(engine, &id, 1, &policy, &result) == BEEX_ERROR_POLICY);
  EXPECT(beex_run(engine, &id, 1, &open, &result) == BEEX_OK);
}

/* Probabilities of each exit that was come to, by a formula of double precision; of none before the first
 * run, and after a refused one those of the run before. */
static void test_exits(beex_engine *engine, const beex_model *model) {
  const size_t classes = model->header->num_classes, exits = 2;
  const beex_policy policy = {BEEX_FIXED_DEPTH, 0, (float)exits};
  const int32_t id = 1, unknown = -1;
  float values[64];
  size_t found = 9;
  beex_result result;
  if (exits * classes > 64) exit(2);
  EXPECT(beex_exits(engine, values, 0, &found) == BEEX_OK && found == 0);
  EXPECT(beex_run(engine, &id, 1, &policy, &result) == BEEX_OK);
  EXPECT(beex_run(engine, &unknown, 1, NULL, &result) == BEEX_ERROR_TOKENS);
  EXPECT(beex_exits(engine, values, exits * classes - 1, &found) == BEEX_ERROR_MEMORY && found == exits);
  EXPECT(beex_exits(engine, values, exits * classes, &found) == BEEX_OK && found == exits);
  for (size_t i = 0; i < exits * classes; i++) {
    double total = 0;
    for (size_t c = 0; c < classes; c++) {
      total += exp((double)engine->logits[i / classes * classes + c] - (double)engine->logits[i]);
    }
    EXPECT(fabs((double)values[i] * total - 1) < 1e-7);
  }
  EXPECT(beex_exits(NULL, values, 64, &found) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_exits(engine, NULL, 64, &found) == BEEX_ERROR_ARGUMENT);
  EXPECT(beex_exits(engine, values, 64, NULL) == BEEX_ERROR_ARGUMENT);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  for (int i = 1; i < count; i++) {
    size_t size;
    void *data = read_file(arguments[i], &size);
    beex_model model;
    beex_engine engine;
    if (beex_open(&model, data, size) != BEEX_OK) return 2;
    const size_t arena_size = beex_arena_size(&model);
    void *arena = malloc(arena_size);
    if (!arena || (model.header->num_segments > 1) != (i == 2)) return 2;
    test_kernels(&model, arena, arena_size);
    EXPECT(beex_start(&engine, &model, arena, arena_size, NULL) == BEEX_OK);
    test_exits(&engine, &model);
    test_null(&engine, &model, arena, arena_size, data, size);
    test_pairs(&engine, &model);
    test_truncated(&engine, &model);
    test_policy(&engine);
    free(arena);
    free(data);
  }
  if (!failures) puts("as documented");
  return failures != 0;
}
