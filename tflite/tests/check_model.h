/* What must hold of every model that beex_open accepts, whatever the text.
 *
 * All kernels of this machine and the reference, with every size of the arena, give the same bits. Nothing
 * depends on what is in the arena before, or reaches beyond it.
 */
#ifndef BEEX_CHECK_MODEL_H
#define BEEX_CHECK_MODEL_H

#include "random_model.h"

#include <stdio.h>

static long failures, runs;

/* How an engine is set up. */
typedef struct {
  const beex_kernels *kernels;
  size_t arena_size;
} setup;

static setup current;

#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __FILE__, __LINE__))

static inline void fail(const char *what, const char *file, int line) {
  if (failures++) return; /* the others follow from the first */
  printf("FAIL %s:%d, %s kernels, arena of %lu bytes: %s\n", file, line,
         current.kernels ? current.kernels->name : "any", (unsigned long)current.arena_size, what);
  fflush(stdout); /* a fuzz target aborts next */
}

/* Memory of that size and no larger, so that the sanitizers notice any byte beyond it; at 8 modulo 16 if
 * `shifted`. It holds what may be in memory. */
static inline unsigned char *allocate(size_t size, int shifted) {
  static const unsigned char fills[] = {0, 0x3f, 0x7f, 0xff};
  unsigned char *memory = malloc(size + (shifted ? 8 : 0) + !size);
  if (!memory) abort();
  memset(memory, fills[random_below(4)], size + (shifted ? 8 : 0));
  return shifted ? memory + 8 : memory;
}

static inline void release(void *memory, int shifted) { free((unsigned char *)memory - (shifted ? 8 : 0)); }

/* === One run === */

/* The last exit that a run came to says what its result says, to the last bit. */
static inline void check_exits(const beex_engine *engine, const beex_result *result) {
  const beex_header *h = engine->model->header;
  const int is_number = h->task == BEEX_NUMBER;
  const size_t size = result->exit * h->num_classes;
  float *values = malloc(size * sizeof *values);
  size_t exits = 0;
  if (!values) abort();
  CHECK(beex_exits(engine, values, size - 1, &exits) == BEEX_ERROR_MEMORY);
  CHECK(beex_exits(engine, values, size, &exits) == BEEX_OK);
  CHECK(exits == result->exit);
  const float *last = values + size - h->num_classes;
  CHECK(is_number ? *last == result->value : last[result->label] == result->score);
  free(values);
}

/* logits: [N][C], those of the exits that it came to. */
static inline void run(const beex_model *model, const setup *s, const int32_t *ids, size_t count,
                       const beex_policy *policy, beex_result *result, float *logits) {
  const beex_header *h = model->header;
  const size_t classes = h->num_classes;
  const beex_options options = {s->kernels};
  const int shifted = random_sign();
  unsigned char *arena = allocate(s->arena_size, shifted);
  beex_engine engine;
  current = *s;
  runs++;
  result->exit = 1, result->label = 0, result->score = 1;
  memset(logits, 0, h->num_blocks * classes * sizeof *logits);
  CHECK(beex_start(&engine, model, arena, s->arena_size, &options) == BEEX_OK);
  CHECK(beex_run(&engine, ids, count, policy, result) == BEEX_OK);
  CHECK(result->exit >= 1 && result->exit <= h->num_blocks && result->label < classes);
  if (!failures) {
    memcpy(logits, engine.logits, result->exit * classes * sizeof *logits);
    const float *last = logits + (result->exit - 1) * classes;
    for (size_t c = 0; c < classes; c++) CHECK(last[c] <= last[result->label]); /* so no NaN */
    CHECK(result->score > 0.999f / (float)classes && result->score <= 1);
    CHECK(h->task == BEEX_NUMBER ? h->value_least <= result->value && result->value <= h->value_most
                                 : result->value == 0);
    check_exits(&engine, result);
    (void)strlen(beex_label(model, result->label)); /* it ends inside the file */
  }
  release(arena, shifted);
}

/* === The exit rule === */

static inline beex_policy random_policy(const beex_header *h) {
  static const float wild[] = {INFINITY, -INFINITY, -0.0f, 0.0f,    0x1p-149f, -0x1p-140f, 1e-6f,
                               0.5f,     1.0f,      2.0f,  3.4e38f, -1e9f,     1e9f};
  beex_policy policy = {random_below(h->task == BEEX_NUMBER ? 6 : 5), random_below(2), random_float()};
  if (random_sign()) policy.threshold = wild[random_below(sizeof wild / sizeof *wild)];
  return policy;
}

/* The run that leaves early has the logits of the one that does not, and leaves where the rule says. */
static inline void check_policy(const beex_model *model, const setup *s, const int32_t *ids,
                                size_t count, const beex_policy *policy, const float *all, float *logits) {
  const size_t blocks = model->header->num_blocks, classes = model->header->num_classes;
  const beex_policy *rule = policy ? policy : &model->header->policy;
  beex_exit_state state;
  size_t exit = 0, label;
  float score;
  beex_exit_begin(&state, classes);
  while (!beex_exit_taken(rule, &state, exit, all + exit * classes, classes) && exit + 1 < blocks) exit++;
  beex_best_class(all + exit * classes, classes, &label, &score);
  beex_result result;
  run(model, s, ids, count, policy, &result, logits);
  CHECK(result.exit == exit + 1 && result.label == label);
  CHECK(memcmp(&result.score, &score, sizeof score) == 0);
  CHECK(memcmp(logits, all, result.exit * classes * sizeof *logits) == 0);
}

/* === All setups === */

/* The reference, and from 1 on what this machine can run. */
static inline const beex_kernels *kernels_at(size_t index) {
  return index ? beex_available_kernels()[index - 1] : &beex_kernels_reference;
}

static inline size_t random_arena(const beex_model *model, size_t which) {
  const size_t least = beex_arena_size(model), best = beex_best_arena_size(model);
  if (which == 0) return least;
  return which == 1 ? best : random_from((uint32_t)least, (uint32_t)best);
}

/* Ids in all setups: every arena and policy, or one of each. */
static inline void check_ids(const beex_model *model, const int32_t *ids, size_t count, int every) {
  const beex_header *h = model->header;
  const size_t bytes = h->num_blocks * h->num_classes * sizeof(float);
  const beex_policy never = {BEEX_FIXED_DEPTH, 0, INFINITY};
  float *all = malloc(bytes), *logits = malloc(bytes);
  if (!all || !logits) abort();
  beex_result expected, result;
  setup s = {&beex_kernels_reference, random_arena(model, 0)};
  run(model, &s, ids, count, &never, &expected, all);
  CHECK(expected.exit == h->num_blocks);
  for (size_t k = 0; (s.kernels = kernels_at(k)) != NULL; k++) {
    for (size_t arena = 0; arena < 3; arena++) {
      s.arena_size = random_arena(model, every ? arena : random_below(3));
      run(model, &s, ids, count, &never, &result, logits);
      CHECK(memcmp(logits, all, bytes) == 0);
      CHECK(result.label == expected.label && result.score == expected.score);
      CHECK(memcmp(&result.value, &expected.value, sizeof result.value) == 0);
      if (!every) break;
    }
  }
  s.kernels = NULL;
  const uint32_t kinds = h->task == BEEX_NUMBER ? 6 : 5;
  for (uint32_t i = 0; i < (every ? 4 * kinds : 1u); i++) {
    beex_policy policy = random_policy(h);
    if (every) policy.kind = i / 4, policy.below = i & 1;
    s.arena_size = random_arena(model, random_below(3));
    check_policy(model, &s, ids, count, &policy, all, logits);
  }
  check_policy(model, &s, ids, count, NULL, all, logits);
  free(all);
  free(logits);
}

/* === Text === */

/* A text is refused, or its ids run: by hand and in one call. The second half is for models of pairs. Returns
 * how many of its ids are in `some`, at most `room`. */
static inline size_t check_text(const beex_model *model, const char *text, size_t text_size,
                                const char *pair, size_t pair_size, int32_t *some, size_t room) {
  const beex_header *h = model->header;
  const int is_pair = h->num_segments > 1, shifted = random_sign();
  if (!text_size && random_sign()) text = NULL; /* no text may have no address */
  const char *const other = is_pair ? pair : NULL;
  size_t count = 0, all = 0;
  beex_engine engine;
  beex_result classified, result;
  const setup s = {NULL, random_arena(model, 0)};
  int32_t *ids = malloc(h->text_length * sizeof *ids + !h->text_length);
  if (!ids) abort();
  current = s;
  const beex_status strict = beex_encode(model, text, text_size, other, pair_size, 0, ids, &all);
  const beex_status status = beex_encode(model, text, text_size, other, pair_size, 1, ids, &count);
  unsigned char *arena = allocate(s.arena_size, shifted);
  CHECK(beex_start(&engine, model, arena, s.arena_size, NULL) == BEEX_OK);
  CHECK(beex_classify(&engine, text, text_size, other, pair_size, &classified) == status);
  if (!h->has_vocabulary) {
    CHECK(status == BEEX_ERROR_VOCABULARY);
  } else if (status != BEEX_OK) {
    CHECK(status == BEEX_ERROR_TEXT && strict == BEEX_ERROR_TEXT);
  } else {
    const beex_status unfit = is_pair ? BEEX_ERROR_SINGLE : BEEX_ERROR_PAIR;
    CHECK(beex_classify(&engine, text, text_size, is_pair ? NULL : pair, 0, &result) == unfit);
    CHECK(count >= (is_pair ? 3 : 2) && count <= h->text_length);
    CHECK(strict == (all > h->text_length ? BEEX_ERROR_LENGTH : BEEX_OK));
    CHECK(classified.truncated == (strict == BEEX_ERROR_LENGTH));
    float *logits = malloc(h->num_blocks * h->num_classes * sizeof *logits);
    if (!logits) abort();
    run(model, &s, ids, count, NULL, &result, logits);
    CHECK(classified.exit == result.exit && classified.label == result.label);
    CHECK(classified.score == result.score);
    free(logits);
  }
  if (status != BEEX_OK) count = 0;
  if (count > room) count = room;
  if (count) memcpy(some, ids, count * sizeof *ids);
  release(arena, shifted);
  free(ids);
  return count;
}

/* === What is refused === */

static inline void check_refusals(const beex_model *model) {
  const beex_header *h = model->header;
  const size_t size = beex_arena_size(model);
  unsigned char *arena = allocate(size + 1, 0);
  beex_engine engine;
  beex_result result;
  int32_t *ids = calloc(h->length + 1, sizeof *ids);
  if (!ids) abort();
  const setup s = {NULL, size};
  current = s;
  CHECK(size == h->arena_size && size <= beex_best_arena_size(model));
  CHECK(beex_start(&engine, model, arena, size - 1, NULL) == BEEX_ERROR_MEMORY);
  CHECK(beex_start(&engine, model, NULL, size, NULL) == BEEX_ERROR_ARGUMENT);
  CHECK(beex_start(&engine, model, arena + 1, size, NULL) == BEEX_ERROR_ALIGNMENT);
  CHECK(beex_start(&engine, model, arena, size, NULL) == BEEX_OK);
  const beex_policy none = {h->task == BEEX_NUMBER ? 6 : 5, 0, 0}, not_a_number = {BEEX_CONFIDENCE, 0, NAN};
  CHECK(beex_run(&engine, ids, 1, &none, &result) == BEEX_ERROR_POLICY);
  CHECK(beex_run(&engine, ids, 1, &not_a_number, &result) == BEEX_ERROR_POLICY);
  CHECK(beex_run(&engine, ids, h->length + 1, NULL, &result) == BEEX_ERROR_TOKENS);
  ids[0] = -1;
  CHECK(beex_run(&engine, ids, 1, NULL, &result) == BEEX_ERROR_TOKENS);
  ids[0] = (int32_t)h->vocabulary_size;
  CHECK(beex_run(&engine, ids, 1, NULL, &result) == BEEX_ERROR_TOKENS);
  CHECK(*beex_label(model, h->num_classes) == 0);
  free(ids);
  free(arena);
}

/* Ids of the vocabulary, some of them padding or separators. Returns how many: up to `most`. */
static inline size_t random_ids(const beex_header *h, size_t most, int32_t *ids) {
  const size_t count = random_below((h->length < most ? h->length : most) + 1);
  for (size_t i = 0; i < count; i++) {
    const uint32_t kind = random_below(8);
    ids[i] = (int32_t)(kind == 0 ? 0 : random_below(h->vocabulary_size));
    if (kind == 1 && h->separator_id < h->vocabulary_size) ids[i] = (int32_t)h->separator_id;
  }
  return count;
}

#endif
