/* Checks a model file and finds its parts. Nothing of a file is believed before it was checked. */
#include "internal.h"

#include <string.h>

/* Limits far beyond any model, so that products of sizes fit into 64 bits. */
#define MOST 0x10000u
#define MOST_WORDS_IN_VOCABULARY 0x1000000u

const char *beex_status_message(beex_status status) {
  switch (status) {
    case BEEX_OK: return "no error";
    case BEEX_ERROR_FORMAT: return "this is not a whole .beex file of this version; convert the model again";
    case BEEX_ERROR_CHECKSUM: return "the file is damaged: its checksum does not match its content";
    case BEEX_ERROR_CONTENT: return "the file contradicts itself";
    case BEEX_ERROR_ALIGNMENT: return "data and arena must be aligned to 8 bytes";
    case BEEX_ERROR_PLATFORM: return "the engine does not run on big-endian machines";
    case BEEX_ERROR_MEMORY: return "the arena is smaller than beex_arena_size";
    case BEEX_ERROR_POLICY: return "there is no such exit policy";
    case BEEX_ERROR_TOKENS: return "there are more tokens than the model reads, or unknown ones";
    case BEEX_ERROR_LENGTH: return "the text has more tokens than the model reads";
    case BEEX_ERROR_TEXT: return "the text is not valid UTF-8";
    case BEEX_ERROR_VOCABULARY: return "the model has no vocabulary, so it reads token ids, not text";
    case BEEX_ERROR_INEXACT: return "this build or machine rounds otherwise than the engine is defined to; see kernels/exact.h";
  }
  return "unknown error";
}

/* === Where the weights are === */

static const float *take_channels(beex_cursor *cursor, uint64_t count) {
  return beex_take(cursor, BEEX_ROUND_UP(count, BEEX_PADDING) * sizeof(float));
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
  const uint64_t width = h->width, hidden = beex_hidden_channels(h);
  beex_block block = {0};
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
    block.gate_in = take_linear(cursor, h, width, hidden);
    block.content_in = take_linear(cursor, h, width, hidden);
    block.gate_out = take_linear(cursor, h, hidden, width);
    block.content_out = take_linear(cursor, h, hidden, width);
  }
  block.network_gamma = take_channels(cursor, width);
  block.network_beta = take_channels(cursor, width);
  block.head_weights = beex_take(cursor, width * h->num_classes * sizeof(float));
  block.head_bias = take_channels(cursor, h->num_classes);
  return block;
}

static void take_embedding(beex_cursor *cursor, const beex_header *h, beex_model *model) {
  const uint64_t width = h->width, real_row = width * sizeof(float);
  const uint64_t row = h->embedding_bits == 1   ? 8 * BEEX_CEIL_DIV(width, 64)
                       : h->embedding_bits == 8 ? width
                                                : real_row;
  model->table = beex_take(cursor, h->vocabulary_size * row);
  model->table_scale = h->embedding_bits < 32 ? take_channels(cursor, width) : NULL;
  model->position = beex_take(cursor, h->length * real_row);
  model->segment = h->num_segments > 1 ? beex_take(cursor, h->num_segments * real_row) : NULL;
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

static int header_is_valid(const beex_header *h) {
  return in(h->vocabulary_size, 1, MOST_WORDS_IN_VOCABULARY) && in(h->length, 1, MOST) &&
         in(h->num_segments, 1, MOST) && in(h->width, 1, MOST) && in(h->num_heads, 1, h->width) &&
         h->width % h->num_heads == 0 && in(h->hidden_width, 1, MOST) &&
         h->network <= BEEX_FFN && in(h->num_blocks, 1, MOST) && in(h->num_classes, 1, MOST) &&
         is_bits(h->weight_bits) && is_bits(h->embedding_bits) &&
         (h->activation_bits == 32 || (h->activation_bits == 1 && h->weight_bits == 1)) &&
         h->sigmoid_gate <= (h->network == BEEX_SLFN) && h->policy.kind <= BEEX_FIXED_DEPTH &&
         h->policy.below <= 1 && h->weights % 64 == 0 && h->weights >= sizeof *h &&
         h->has_vocabulary <= 1 && h->content_activation <= BEEX_GELU;
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
  if (!h->has_vocabulary) return 1;
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

beex_status beex_open(beex_model *model, const void *data, size_t size) {
  const uint16_t probe = 1;
  if (*(const unsigned char *)&probe != 1) return BEEX_ERROR_PLATFORM;
  if ((uintptr_t)data % 8) return BEEX_ERROR_ALIGNMENT;
  const beex_header *h = data;
  if (size < sizeof *h || memcmp(h->magic, "BEEX", 4) != 0 ||
      !in(h->version, BEEX_OLDEST_FORMAT, BEEX_FORMAT_VERSION) || h->size != size) {
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
  return beex_arena_size(model) == h->arena_size ? BEEX_OK : BEEX_ERROR_CONTENT;
}

const char *beex_label(const beex_model *model, size_t label) {
  const beex_header *h = model->header;
  if (label >= h->num_classes) return "";
  const char *text = (const char *)h + h->labels;
  while (label--) text += strlen(text) + 1;
  return text;
}
