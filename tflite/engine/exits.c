/* The exit rule, for every policy: a score of the logits and of what the exits before left. */
#include "../kernels/exact.h"
#include "internal.h"

#include <math.h>

static size_t best_class(const float *logits, size_t num_classes) {
  size_t best = 0;
  for (size_t c = 1; c < num_classes; c++) {
    if (logits[c] > logits[best]) best = c;
  }
  return best;
}

/* The softmax's denominator, with d = logit - largest logit: sum e^d; and besides sum e^d d. */
static double total_of(const float *logits, size_t num_classes, double *moment) {
  const double largest = logits[best_class(logits, num_classes)];
  double total = 0;
  *moment = 0;
  for (size_t c = 0; c < num_classes; c++) {
    const double distance = logits[c] - largest, part = beex_exp(distance);
    total += part;
    *moment += part * distance;
  }
  return total;
}

/* In nats: - sum p ln p with p = e^d / total. */
static float entropy_of(const float *logits, size_t num_classes) {
  double moment;
  const double total = total_of(logits, num_classes, &moment);
  return (float)(beex_log(total) - moment / total);
}

/* Of the most probable class, whose d is 0. */
static float confidence_of(const float *logits, size_t num_classes) {
  double moment;
  return (float)(1 / total_of(logits, num_classes, &moment));
}

void beex_best_class(const float *logits, size_t num_classes, size_t *label, float *probability) {
  *label = best_class(logits, num_classes);
  *probability = confidence_of(logits, num_classes);
}

void beex_softmax(const float *logits, size_t num_classes, float *probabilities) {
  double moment;
  const double total = total_of(logits, num_classes, &moment);
  const double largest = logits[best_class(logits, num_classes)];
  for (size_t c = 0; c < num_classes; c++) {
    probabilities[c] = (float)(beex_exp(logits[c] - largest) / total);
  }
}

void beex_exit_begin(beex_exit_state *state, size_t num_classes) {
  state->entropy = (float)beex_log((double)num_classes);
  state->number = 0;
  state->changed = 4;
  state->label = num_classes; /* none */
  state->repeats = 0;
}

float beex_exit_score(const beex_policy *policy, beex_exit_state *state, size_t index,
                      const float *logits, size_t num_classes) {
  const size_t label = best_class(logits, num_classes);
  switch (policy->kind) {
    case BEEX_FRACTIONAL_ENTROPY: {
      const float before = state->entropy, now = entropy_of(logits, num_classes);
      state->entropy = now;
      if (before > 1e-6f) return (before - now) / before;
      return policy->below ? -1e9f : 1e9f; /* nothing is left to reduce: taken */
    }
    case BEEX_ENTROPY:
      return entropy_of(logits, num_classes);
    case BEEX_CONFIDENCE:
      return confidence_of(logits, num_classes);
    case BEEX_PATIENCE:
      state->repeats = label == state->label ? state->repeats + 1 : 0;
      state->label = label;
      return (float)state->repeats;
    case BEEX_CHANGE: {
      const float change = fabsf(logits[0] - state->number);
      state->number = logits[0];
      if (!index) return 1e9f; /* from nothing: not taken */
      return state->changed = change + state->changed / 2;
    }
    default: /* BEEX_FIXED_DEPTH */
      return (float)(index + 1);
  }
}

int beex_score_takes(const beex_policy *policy, float score) {
  return policy->below ? score < policy->threshold : score >= policy->threshold;
}

int beex_exit_taken(const beex_policy *policy, beex_exit_state *state, size_t index,
                    const float *logits, size_t num_classes) {
  return beex_score_takes(policy, beex_exit_score(policy, state, index, logits, num_classes));
}
