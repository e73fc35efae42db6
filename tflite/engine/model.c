/* Checks a model file and finds its parts. Nothing of a file is believed before it was checked. */
#include "internal.h"

#include <string.h>

/* Limits far beyond any model, so that products of sizes fit into 64 bits. */
#define MOST 0x10000u
#define MOST_WORDS_IN_VOCABULARY 0x1000000u

/* Limits of magnitudes, as bits of a float: 2^10, and 2^3 for the scales of int8 weights, whose numbers go
 * to 2^7. Within them nothing that is computed can become a NaN: docs/beex_format.md proves it. */
#define MOST_REAL 0x44800000u
#define MOST_INT8_SCALE 0x41000000u

/* Of a number's offset and scale: 2^40, so that the number is finite. */
#define MOST_VALUE 0x53800000u

/* === Where the weights are === */

static const float *take_channels(beex_cursor *cursor, uint64_t count) {
  return BEEX_TAKE(cursor, float, BEEX_ROUND_UP(count, BEEX_PADDING));
}

static beex_linear take_linear(beex_cursor *cursor, const beex_header *h, uint64_t inputs,
                               uint64_t outputs) {
  beex_linear linear;
  uint64_t bytes;
  if (h->weight_bits == 32) {
    bytes = inputs * outputs * sizeof(float);
  } else if (h->weight_bits == 8) {
    bytes = BEEX_CEIL_DIV(outputs, BEEX_INT8_PANEL) * BEEX_CEIL_DIV(inputs, 4) * 64;
  } else if (h->activation_bits == 1) {
    bytes = BEEX_ROUND_UP(outputs, BEEX_BINARY_PANEL) * BEEX_CEIL_DIV(inputs, 64) * 8;
  } else {
    bytes = BEEX_CEIL_DIV(outputs, BEEX_REAL_PANEL) * BEEX_CEIL_DIV(inputs, 4) * 8;
  }
  linear.weights = beex_take(cursor, bytes);
  linear.scale = h->weight_bits < 32 ? take_channels(cursor, outputs) : NULL;
  linear.bias = take_channels(cursor, outputs);
  return linear;
}

static beex_block take_block(beex_cursor *cursor, const beex_header *h) {
  const uint64_t width = h->width, hidden = beex_hidden_channels(h), gate = h->gate_width;
  beex_block block;
  memset(&block, 0, sizeof block); /* of the network that it has not */
  block.query = take_linear(cursor, h, width, width);
  block.key = take_linear(cursor, h, width, width);
  block.value = take_linear(cursor, h, width, width);
  block.output = take_linear(cursor, h, width, width);
  block.attention_gamma = take_channels(cursor, width);
  block.attention_beta = take_channels(cursor, width);
  if (h->network == BEEX_FFN) {
    block.up = take_linear(cursor, h, width, hidden);
    block.down = take_linear(cursor, h, hidden, width);
  } else {
    block.gate_in = take_linear(cursor, h, width, gate);
    block.content_in = take_linear(cursor, h, width, hidden);
    block.gate_out = take_linear(cursor, h, gate, width);
    block.content_out = take_linear(cursor, h, hidden, width);
  }
  block.network_gamma = take_channels(cursor, width);
  block.network_beta = take_channels(cursor, width);
  block.head_weights = BEEX_TAKE(cursor, float, width * h->num_classes);
  block.head_bias = take_channels(cursor, h->num_classes);
  return block;
}

static void take_embedding(beex_cursor *cursor, const beex_header *h, beex_model *model) {
  const uint64_t width = h->width;
  const uint64_t row = h->embedding_bits == 1   ? 8 * BEEX_CEIL_DIV(width, 64)
                       : h->embedding_bits == 8 ? width
                                                : width * sizeof(float);
  model->table = beex_take(cursor, h->vocabulary_size * row);
  model->table_scale = h->embedding_bits < 32 ? take_channels(cursor, width) : NULL;
  model->position = BEEX_TAKE(cursor, float, h->length * width);
  model->segment = h->num_segments > 1 ? BEEX_TAKE(cursor, float, h->num_segments * width) : NULL;
  model->gamma = take_channels(cursor, width);
  model->beta = take_channels(cursor, width);
}

beex_block beex_block_at(const beex_model *model, size_t index) {
  /* The cursor hands out parts of arenas too; here they are only read. */
  beex_cursor cursor = {(unsigned char *)(uintptr_t)(model->blocks + index * model->block_size), 0};
  return take_block(&cursor, model->header);
}

/* === Checks === */

static int in(uint32_t value, uint32_t lowest, uint32_t highest) {
  return lowest <= value && value <= highest;
}

static int is_bits(uint32_t value) { return value == 1 || value == 8 || value == 32; }

/* Whether count floats are numbers of at most that magnitude. Infinities and NaN have larger bits. */
static int reals_are_valid(const void *data, uint64_t count, uint32_t most) {
  const uint32_t *bits = (const uint32_t *)data;
  uint32_t wrong = 0;
  for (uint64_t i = 0; i < count; i++) wrong |= (bits[i] & 0x7fffffffu) > most;
  return !wrong;
}

/* Real weights take real activations, those of 8 bits such of 8 bits, those of one bit any. */
static int bits_are_valid(const beex_header *h) {
  return is_bits(h->weight_bits) && is_bits(h->embedding_bits) && is_bits(h->activation_bits) &&
         (h->weight_bits == 1 || h->activation_bits == h->weight_bits) &&
         h->exact <= (h->weight_bits == 1 && h->activation_bits == 8);
}

static int task_is_valid(const beex_header *h) {
  static const float none[4] = {0};
  if (h->task == BEEX_CLASSES) {
    return h->policy.kind < BEEX_CHANGE && memcmp(&h->value_offset, none, sizeof none) == 0;
  }
  return h->task == BEEX_NUMBER && h->num_classes == 1 && h->value_least <= h->value_most &&
         reals_are_valid(&h->value_offset, 2, MOST_VALUE);
}

static int is_zero(const void *data, uint64_t bytes) {
  const unsigned char *byte = (const unsigned char *)data;
  unsigned found = 0;
  for (uint64_t i = 0; i < bytes; i++) found |= byte[i];
  return !found;
}

static int header_is_valid(const beex_header *h) {
  return in(h->vocabulary_size, 1, MOST_WORDS_IN_VOCABULARY) && in(h->length, 1, MOST) &&
         in(h->num_segments, 1, MOST) && in(h->width, 1, MOST) && in(h->num_heads, 1, h->width) &&
         h->width % h->num_heads == 0 && in(h->hidden_width, 1, MOST) &&
         h->network <= BEEX_FFN && in(h->num_blocks, 1, MOST) && in(h->num_classes, 1, MOST) &&
         (h->network == BEEX_SLFN ? in(h->gate_width, 1, MOST) : h->gate_width == 0) &&
         h->sigmoid_gate <= (h->network == BEEX_SLFN) && h->policy.kind <= BEEX_CHANGE &&
         bits_are_valid(h) && task_is_valid(h) && is_zero(h->reserved, sizeof h->reserved) &&
         h->policy.below <= 1 && h->weights % 64 == 0 && h->weights >= sizeof *h &&
         h->has_vocabulary <= 1 && h->content_activation <= BEEX_GELU &&
         reals_are_valid(&h->attention_scale, 1, MOST_REAL) &&
         h->policy.threshold == h->policy.threshold; /* not a NaN; without an end it may be */
}

static int is_inside(const beex_header *h, uint32_t start, uint32_t size) {
  return start >= sizeof *h && start <= h->size && size <= h->size - start;
}

/* C strings, each with its zero, and nothing behind the last. */
static int labels_are_valid(const beex_header *h) {
  if (!is_inside(h, h->labels, h->labels_size) || h->labels_size == 0) return 0;
  const char *text = (const char *)h + h->labels;
  uint32_t count = 0;
  for (uint32_t i = 0; i < h->labels_size; i++) count += text[i] == 0;
  return count == h->num_classes && text[h->labels_size - 1] == 0;
}

static int vocabulary_is_valid(const beex_header *h) {
  if (!h->has_vocabulary) {
    return !h->lower_case && !h->unknown_id && !h->classification_id && !h->text_length;
  }
  if (!is_inside(h, h->words, h->words_size) || !is_inside(h, h->pieces, h->pieces_size) ||
      h->lower_case > 1 || h->unknown_id >= h->vocabulary_size ||
      h->classification_id >= h->vocabulary_size || h->separator_id >= h->vocabulary_size ||
      !in(h->text_length, 3, h->length)) {
    return 0;
  }
  const unsigned char *base = (const unsigned char *)h;
  const beex_dictionary words = {base + h->words, h->words_size};
  const beex_dictionary pieces = {base + h->pieces, h->pieces_size};
  return beex_dictionary_is_valid(words, h->vocabulary_size) &&
         beex_dictionary_is_valid(pieces, h->vocabulary_size);
}

/* === Weights ===
 *
 * Numbers are in their range, and padding is 0: kernels read it, each in its own way.
 */

static int channels_are_valid(const float *x, uint64_t count, uint32_t most) {
  return reals_are_valid(x, count, most) &&
         is_zero(x + count, (BEEX_ROUND_UP(count, BEEX_PADDING) - count) * sizeof *x);
}

/* Weights of a few bits: panels of outputs, in a panel groups of inputs, in a group the inputs of each output
 * side by side. `panel`, `group` and `bits` are outputs of a panel, inputs of a group, bits of an input. */
static int panels_are_valid(const void *data, uint64_t inputs, uint64_t outputs, unsigned panel,
                            unsigned group, unsigned bits) {
  const uint64_t *weights = (const uint64_t *)data;
  const uint64_t panels = BEEX_CEIL_DIV(outputs, panel), groups = BEEX_CEIL_DIV(inputs, group);
  const uint64_t unit = (uint64_t)group * bits, words = panel * unit / 64; /* of a group */
  const uint64_t last_inputs = (inputs - (groups - 1) * group) * bits;
  const uint64_t last_outputs = (outputs - (panels - 1) * panel) * unit;
  uint64_t behind = 0, found = 0; /* the bits of a word behind the last input */
  for (unsigned bit = 0; bit < 64; bit++) behind |= (uint64_t)(bit % unit >= last_inputs) << bit;
  for (uint64_t p = 1; p <= panels; p++) {
    for (uint64_t w = 0; w < words; w++) found |= weights[(p * groups - 1) * words + w] & behind;
  }
  weights += (panels - 1) * groups * words;
  for (uint64_t g = 0; g < groups; g++, weights += words) {
    uint64_t place = last_outputs;
    for (; place < 64 * words; place += 64 - place % 64) found |= weights[place / 64] >> place % 64;
  }
  return !found;
}

static int linear_is_valid(const beex_header *h, const beex_linear *l, uint64_t inputs,
                           uint64_t outputs) {
  if (!channels_are_valid(l->bias, outputs, MOST_REAL)) return 0;
  if (h->weight_bits == 32) return reals_are_valid(l->weights, inputs * outputs, MOST_REAL);
  const int is_int8 = h->weight_bits == 8;
  if (!channels_are_valid(l->scale, outputs, is_int8 ? MOST_INT8_SCALE : MOST_REAL)) return 0;
  if (is_int8) return panels_are_valid(l->weights, inputs, outputs, BEEX_INT8_PANEL, 4, 8);
  if (h->activation_bits == 1) {
    return panels_are_valid(l->weights, inputs, outputs, BEEX_BINARY_PANEL, 64, 1);
  }
  return panels_are_valid(l->weights, inputs, outputs, BEEX_REAL_PANEL, 4, 1);
}

static int norm_is_valid(const float *gamma, const float *beta, uint64_t width) {
  return channels_are_valid(gamma, width, MOST_REAL) && channels_are_valid(beta, width, MOST_REAL);
}

static int embedding_is_valid(const beex_header *h, const beex_model *m) {
  const uint64_t width = h->width;
  if (h->embedding_bits == 32) {
    if (!reals_are_valid(m->table, h->vocabulary_size * width, MOST_REAL)) return 0;
  } else {
    const uint32_t most = h->embedding_bits == 8 ? MOST_INT8_SCALE : MOST_REAL;
    if (!channels_are_valid(m->table_scale, width, most)) return 0;
  }
  /* Rows of bits are panels of one output. */
  return (h->embedding_bits != 1 ||
          panels_are_valid(m->table, width, h->vocabulary_size, 1, 64, 1)) &&
         reals_are_valid(m->position, h->length * width, MOST_REAL) &&
         (!m->segment || reals_are_valid(m->segment, h->num_segments * width, MOST_REAL)) &&
         norm_is_valid(m->gamma, m->beta, width);
}

static int block_is_valid(const beex_header *h, const beex_block *b) {
  const uint64_t width = h->width, hidden = beex_hidden_channels(h), gate = h->gate_width;
  const int network_is_valid =
      h->network == BEEX_FFN ? linear_is_valid(h, &b->up, width, hidden) &&
                                   linear_is_valid(h, &b->down, hidden, width)
                             : linear_is_valid(h, &b->gate_in, width, gate) &&
                                   linear_is_valid(h, &b->content_in, width, hidden) &&
                                   linear_is_valid(h, &b->gate_out, gate, width) &&
                                   linear_is_valid(h, &b->content_out, hidden, width);
  return network_is_valid && linear_is_valid(h, &b->query, width, width) &&
         linear_is_valid(h, &b->key, width, width) && linear_is_valid(h, &b->value, width, width) &&
         linear_is_valid(h, &b->output, width, width) &&
         norm_is_valid(b->attention_gamma, b->attention_beta, width) &&
         norm_is_valid(b->network_gamma, b->network_beta, width) &&
         reals_are_valid(b->head_weights, width * h->num_classes, MOST_REAL) &&
         channels_are_valid(b->head_bias, h->num_classes, MOST_REAL);
}

beex_status beex_open(beex_model *model, const void *data, size_t size) {
  const uint16_t probe = 1;
  if (*(const unsigned char *)&probe != 1) return BEEX_ERROR_PLATFORM;
  if (!model || !data) return BEEX_ERROR_ARGUMENT;
  if ((uintptr_t)data % 8) return BEEX_ERROR_ALIGNMENT;
  const beex_header *h = (const beex_header *)data;
  if (size < sizeof *h || memcmp(h->magic, "BEEX", 4) != 0 ||
      h->version != BEEX_FORMAT_VERSION || h->size != size) {
    return BEEX_ERROR_FORMAT;
  }
  const size_t checked = offsetof(beex_header, checksum) + sizeof h->checksum;
  if (beex_crc32((const unsigned char *)data + checked, size - checked) != h->checksum) {
    return BEEX_ERROR_CHECKSUM;
  }
  if (!header_is_valid(h) || !labels_are_valid(h) || !is_inside(h, h->metadata, h->metadata_size) ||
      !vocabulary_is_valid(h)) {
    return BEEX_ERROR_CONTENT;
  }

  /* How large the weights are, before there is a pointer to any. */
  beex_model parts;
  beex_cursor counter = {NULL, 0}, block_counter = {NULL, 0};
  take_embedding(&counter, h, &parts);
  take_block(&block_counter, h);
  const uint64_t needed = counter.offset + h->num_blocks * block_counter.offset;
  if (h->weights > size || needed > size - h->weights) return BEEX_ERROR_CONTENT;

  unsigned char *weights = (unsigned char *)(uintptr_t)data + h->weights;
  beex_cursor cursor = {weights, 0};
  model->header = h;
  take_embedding(&cursor, h, model);
  model->blocks = weights + cursor.offset;
  model->block_size = (size_t)block_counter.offset;
  if (beex_arena_size(model) != h->arena_size) return BEEX_ERROR_CONTENT;
  int is_valid = embedding_is_valid(h, model);
  for (size_t index = 0; is_valid && index < h->num_blocks; index++) {
    const beex_block block = beex_block_at(model, index);
    is_valid = block_is_valid(h, &block);
  }
  return is_valid ? BEEX_OK : BEEX_ERROR_WEIGHTS;
}

const char *beex_label(const beex_model *model, size_t label) {
  const beex_header *h = model->header;
  if (label >= h->num_classes) return "";
  const char *text = (const char *)h + h->labels;
  while (label--) text += strlen(text) + 1;
  return text;
}
