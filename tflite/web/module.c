/* What JavaScript calls: a model and its engine, of which an instance has one. JavaScript lays memory out behind
 * __heap_base, and reads facts and answers where they stand, as numbers of 32 bits.
 */
#include "../engine/internal.h"

#define EXPORT(name) __attribute__((export_name(#name))) web_##name

static beex_model model;
static beex_engine engine;
static size_t count, tokens; /* of engine.ids, and those that the text had before it was cut */

typedef struct {
  uint32_t classes, exits, reads_pairs, has_vocabulary, text_length, is_number;
  beex_policy policy;
} model_facts;

/* What an exit says: the most probable class, its probability, and what the policy makes of them. */
typedef struct {
  uint32_t label;
  float probability;
  float score; /* which the policy compares with its threshold */
  uint32_t is_taken;
} exit_answer;

beex_status EXPORT(open)(const void *data, size_t size) { return beex_open(&model, data, size); }

void EXPORT(facts)(model_facts *facts) {
  const beex_header *h = model.header;
  *facts = (model_facts){h->num_classes,    h->num_blocks,  h->num_segments > 1,
                         h->has_vocabulary, h->text_length, h->task == BEEX_NUMBER,
                         h->policy};
}

const char *EXPORT(label)(size_t label) { return beex_label(&model, label); }

const char *EXPORT(message)(beex_status status) { return beex_status_message(status); }

size_t EXPORT(arena_size)(void) { return beex_best_arena_size(&model); }

beex_status EXPORT(start)(void *arena, size_t size) {
  return beex_start(&engine, &model, arena, size, NULL);
}

/* The ids of a text, or of a pair where that is not null, for the next run. */
beex_status EXPORT(encode)(const char *text, size_t text_size, const char *pair, size_t pair_size) {
  return beex_encode_all(&model, text, text_size, pair, pair_size, 1, engine.ids, &count, &tokens);
}

size_t EXPORT(tokens)(void) { return tokens; }

/* Up to the exit that the policy takes, or through all, if so asked. answers [exits], values as beex_exits
 * writes them, for both of which there is room for all exits. */
beex_status EXPORT(run)(const beex_policy *policy, int through_all, exit_answer *answers,
                        float *values) {
  const beex_header *h = model.header;
  const size_t classes = h->num_classes;
  const beex_policy last = {BEEX_FIXED_DEPTH, 0, (float)h->num_blocks};
  beex_result result;
  size_t exits;
  beex_status status = beex_run(&engine, engine.ids, count, through_all ? &last : policy, &result);
  if (status != BEEX_OK) return status;
  beex_exit_state state;
  beex_exit_begin(&state, classes);
  for (size_t index = 0; index < result.exit; index++) {
    exit_answer *answer = answers + index;
    const float *logits = engine.logits + index * classes;
    size_t label;
    beex_best_class(logits, classes, &label, &answer->probability);
    answer->label = (uint32_t)label;
    answer->score = beex_exit_score(policy, &state, index, logits, classes);
    answer->is_taken = (uint32_t)beex_score_takes(policy, answer->score);
  }
  return beex_exits(&engine, values, (size_t)h->num_blocks * classes, &exits);
}

size_t EXPORT(exits)(void) { return engine.exits; }
