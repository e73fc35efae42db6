/* What the engine's files share. */
#ifndef BEEX_INTERNAL_H
#define BEEX_INTERNAL_H

#include "../kernels/kernels.h"
#include "beex.h"

/* Hands out parts of a memory block, each at a multiple of 64 bytes. Without a base it only counts. */
typedef struct {
  unsigned char *base;
  uint64_t offset;
} beex_cursor;

static inline void *beex_take(beex_cursor *cursor, uint64_t bytes) {
  void *part = cursor->base ? cursor->base + cursor->offset : NULL;
  cursor->offset += BEEX_ROUND_UP(bytes, 64);
  return part;
}

/* The same for `count` of a type. Casts are for C++, which the single header may be compiled as. */
#define BEEX_TAKE(cursor, type, count) ((type *)beex_take(cursor, (count) * sizeof(type)))

/* Hidden channels of the network behind the attention, those of an SLFN's gate apart. */
static inline uint64_t beex_hidden_channels(const beex_header *h) {
  return (h->network == BEEX_FFN ? 2 : 1) * (uint64_t)h->hidden_width;
}

/* The most channels between two of its layers. */
static inline uint64_t beex_widest_channels(const beex_header *h) {
  const uint64_t hidden = beex_hidden_channels(h);
  return h->gate_width > hidden ? h->gate_width : hidden;
}

/* Channels of a head in pairs. */
static inline uint64_t beex_even_depth(const beex_header *h) {
  return BEEX_ROUND_UP((uint64_t)h->width / h->num_heads, 2);
}

/* Whether what leads to a sign or to a whole number of 8 bits lies on a grid, the same in every engine. */
static inline int beex_is_on_grid(const beex_header *h) { return h->activation_bits == 1 || h->exact; }

/* Divides an arena among the engine's parts, for as many rows at a time as it has room for; 0 if it is too
 * small for any. */
int beex_lay_out(beex_engine *engine, const beex_header *h, void *arena, size_t size);

/* CRC-32 as in zlib. */
uint32_t beex_crc32(const void *data, size_t size);

/* e^x for x <= 0, 0 below -700, and ln x for x >= 1, with relative errors below 2^-51: the same bits with
 * every compiler and C library, as only sums, products and quotients are used. */
double beex_exp(double x);
double beex_log(double x);

/* What beex_self_test compares with its constants: a checksum over the results of all functions, for inputs
 * of a size about 2^exponent. */
uint32_t beex_self_test_checksum(const beex_kernels *kernels, void *memory, int exponent);

/* The most probable class, the first of equals, and its softmax probability. */
void beex_best_class(const float *logits, size_t num_classes, size_t *label, float *probability);

/* Of logits [C]; the most probable class has the bits of beex_best_class. */
void beex_softmax(const float *logits, size_t num_classes, float *probabilities);

/* beex_exit_taken in two steps: what the policy compares with its threshold, and whether it takes that. */
float beex_exit_score(const beex_policy *policy, beex_exit_state *state, size_t index,
                      const float *logits, size_t num_classes);
int beex_score_takes(const beex_policy *policy, float score);

/* beex_encode; *all is the tokens that the text has, the special ones included, before it is cut. */
beex_status beex_encode_all(const beex_model *model, const char *text, size_t text_size,
                            const char *pair, size_t pair_size, int truncate, int32_t *ids,
                            size_t *count, size_t *all);

/* === Dictionaries: see docs/beex_format.md === */

typedef struct {
  const unsigned char *data;
  size_t size;
} beex_dictionary;

/* Whether the entries are well formed, in order, and have ids below `limit`. */
int beex_dictionary_is_valid(beex_dictionary dictionary, uint32_t limit);

/* Length of the longest entry that `word` begins with, and its id; 0 if there is none. */
size_t beex_longest_prefix(beex_dictionary dictionary, const unsigned char *word, size_t size,
                           int32_t *id);

#endif
