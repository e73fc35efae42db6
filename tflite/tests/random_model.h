/* Valid .beex files of random numbers: every kind of model, any sizes, any vocabulary.
 *
 * It follows docs/beex_format.md and not the loader, which so meets a second reading of that page.
 */
#ifndef BEEX_RANDOM_MODEL_H
#define BEEX_RANDOM_MODEL_H

#include "../engine/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* === Random numbers === */

static uint64_t random_state = 88172645463325252u;

static inline void seed_random(uint64_t seed) {
  random_state = (seed + 1) * 0x9e3779b97f4a7c15u;
  if (!random_state) random_state = 1;
}

/* xorshift64 */
static inline uint32_t random_word(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 16);
}

static inline uint32_t random_below(size_t limit) { return (uint32_t)(random_word() % limit); }

static inline uint32_t random_from(uint32_t lowest, uint32_t highest) {
  return lowest + random_below((size_t)highest - lowest + 1);
}

/* Between -1 and 1. */
static inline float random_float(void) { return (float)((double)random_word() * 0x1p-31 - 1.0); }

/* Of a whole model: weights as after training, with some of any size that the loader accepts, or the largest
 * that it accepts. */
static enum { USUAL_WEIGHTS, WILD_WEIGHTS, LARGEST_WEIGHTS } kind_of_weights;

static inline int random_sign(void) { return (int)random_below(2); }

static inline float random_weight(void) {
  if (kind_of_weights == LARGEST_WEIGHTS) return random_sign() ? 0x1p10f : -0x1p10f;
  if (kind_of_weights == USUAL_WEIGHTS || random_below(4)) return random_float() / 2;
  switch (random_below(5)) {
    case 0: return 0.0f;
    case 1: return -0.0f;
    case 2: return random_float() * 0x1p-126f; /* denormal */
    default: return ldexpf(random_float(), (int)random_below(51) - 40);
  }
}

/* === A file that grows === */

typedef struct {
  unsigned char *data; /* zeros up to `room` */
  size_t size, room;
} model_file;

/* Place for so many bytes, at the next multiple of 64. */
static inline void *put(model_file *f, size_t bytes) {
  const size_t start = BEEX_ROUND_UP(f->size, 64);
  f->size = start + bytes;
  if (f->size > f->room) {
    const size_t room = BEEX_ROUND_UP(2 * f->size, 64);
    f->data = realloc(f->data, room);
    if (!f->data) abort();
    memset(f->data + f->room, 0, room - f->room);
    f->room = room;
  }
  return f->data + start;
}

static inline void put_floats(model_file *f, size_t count) {
  float *values = put(f, count * sizeof *values);
  for (size_t i = 0; i < count; i++) values[i] = random_weight();
}

/* Less than it may be by that factor. */
static inline void put_scales(model_file *f, size_t count, float factor) {
  float *values = put(f, BEEX_ROUND_UP(count, BEEX_PADDING) * sizeof *values);
  for (size_t i = 0; i < count; i++) values[i] = random_weight() * factor;
}

static inline void put_channels(model_file *f, size_t count) { put_scales(f, count, 1); }

static inline void put_linear(model_file *f, const beex_header *h, size_t inputs, size_t outputs) {
  if (h->weight_bits == 32) {
    put_floats(f, inputs * outputs);
  } else if (h->weight_bits == 8) {
    const size_t groups = BEEX_CEIL_DIV(inputs, 4);
    int8_t *weights = put(f, BEEX_CEIL_DIV(outputs, 16) * groups * 64);
    for (size_t o = 0; o < outputs; o++) {
      for (size_t i = 0; i < inputs; i++) {
        weights[(o / 16 * groups + i / 4) * 64 + o % 16 * 4 + i % 4] = (int8_t)(random_below(256) - 128);
      }
    }
  } else if (h->activation_bits == 1) {
    const size_t words = BEEX_CEIL_DIV(inputs, 64);
    uint64_t *weights = put(f, BEEX_ROUND_UP(outputs, 8) * words * 8);
    for (size_t o = 0; o < outputs; o++) {
      for (size_t i = 0; i < inputs; i++) {
        weights[(o / 8 * words + i / 64) * 8 + o % 8] |= (uint64_t)random_sign() << i % 64;
      }
    }
  } else {
    const size_t groups = BEEX_CEIL_DIV(inputs, 4);
    uint64_t *weights = put(f, BEEX_CEIL_DIV(outputs, 16) * groups * 8);
    for (size_t o = 0; o < outputs; o++) {
      for (size_t i = 0; i < inputs; i++) {
        weights[o / 16 * groups + i / 4] |= (uint64_t)random_sign() << (o % 16 * 4 + i % 4);
      }
    }
  }
  if (h->weight_bits < 32) put_scales(f, outputs, h->weight_bits == 8 ? 0x1p-7f : 1);
  put_channels(f, outputs);
}

static inline void put_embedding(model_file *f, const beex_header *h) {
  const size_t rows = h->vocabulary_size, width = h->width;
  if (h->embedding_bits == 1) {
    const size_t words = BEEX_CEIL_DIV(width, 64);
    uint64_t *table = put(f, rows * words * 8);
    for (size_t row = 0; row < rows; row++) {
      for (size_t i = 0; i < width; i++) table[row * words + i / 64] |= (uint64_t)random_sign() << i % 64;
    }
  } else if (h->embedding_bits == 8) {
    int8_t *table = put(f, rows * width);
    for (size_t i = 0; i < rows * width; i++) table[i] = (int8_t)(random_below(256) - 128);
  } else {
    put_floats(f, rows * width);
  }
  if (h->embedding_bits < 32) put_scales(f, width, h->embedding_bits == 8 ? 0x1p-7f : 1);
  put_floats(f, h->length * width);
  if (h->num_segments > 1) put_floats(f, h->num_segments * width);
  put_channels(f, width);
  put_channels(f, width);
}

static inline void put_block(model_file *f, const beex_header *h) {
  const size_t width = h->width, hidden = h->hidden_width, gate = h->gate_width;
  for (int i = 0; i < 4; i++) put_linear(f, h, width, width);
  put_channels(f, width);
  put_channels(f, width);
  if (h->network == BEEX_FFN) {
    put_linear(f, h, width, 2 * hidden);
    put_linear(f, h, 2 * hidden, width);
  } else {
    put_linear(f, h, width, gate);
    put_linear(f, h, width, hidden);
    put_linear(f, h, gate, width);
    put_linear(f, h, hidden, width);
  }
  put_channels(f, width);
  put_channels(f, width);
  put_floats(f, width * h->num_classes);
  put_channels(f, h->num_classes);
}

/* === Vocabulary === */

#define LONGEST_WORD 12

typedef struct {
  unsigned char bytes[LONGEST_WORD];
  size_t size;
} random_token;

/* By their bytes. */
static inline int compare_tokens(const void *left, const void *right) {
  const random_token *a = left, *b = right;
  const int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* Few letters, so that texts of them are full of tokens. */
static const char *const letters[] = {"a", "b", "c", "ab", "e\xcc\x81", "!", "\xe4\xb8\xad", "\xc3\xa9",
                                      "1", "\xe1\x84\x80", "A", "\xf0\x9d\x92\xb3"};

static inline size_t random_letter(unsigned char *place) {
  const char *letter = letters[random_below(sizeof letters / sizeof *letters)];
  memcpy(place, letter, strlen(letter));
  return strlen(letter);
}

static inline uint32_t put_dictionary(model_file *f, uint32_t vocabulary_size, uint32_t *start) {
  random_token tokens[40];
  const size_t most = random_below(41);
  size_t count = 0;
  for (size_t i = 0; i < most; i++) {
    random_token *t = &tokens[i];
    t->size = 0;
    for (size_t more = random_from(1, 3); more; more--) t->size += random_letter(t->bytes + t->size);
  }
  qsort(tokens, most, sizeof *tokens, compare_tokens);
  for (size_t i = 0; i < most; i++) {
    if (!i || compare_tokens(&tokens[count - 1], &tokens[i]) != 0) tokens[count++] = tokens[i];
  }
  const size_t places = BEEX_CEIL_DIV(count, 16);
  unsigned char bytes[4 + 4 * 3 + 40 * (6 + LONGEST_WORD)], *p = bytes + 4 + 4 * places;
  const uint32_t number = (uint32_t)count;
  memcpy(bytes, &number, 4);
  for (size_t i = 0; i < count; i++) {
    const random_token *t = &tokens[i];
    size_t shared = 0;
    if (i % 16 == 0) {
      const uint32_t place = (uint32_t)(p - bytes);
      memcpy(bytes + 4 + 4 * (i / 16), &place, 4);
    } else {
      const random_token *before = t - 1;
      while (shared < before->size && shared < t->size && before->bytes[shared] == t->bytes[shared]) {
        shared++;
      }
    }
    *p++ = (unsigned char)shared;
    *p++ = (unsigned char)(t->size - shared);
    uint32_t id = random_below(vocabulary_size);
    for (; id > 127; id >>= 7) *p++ = (unsigned char)(id & 127) | 128;
    *p++ = (unsigned char)id;
    memcpy(p, t->bytes + shared, t->size - shared);
    p += t->size - shared;
  }
  const uint32_t size = (uint32_t)(p - bytes);
  unsigned char *part = put(f, size);
  memcpy(part, bytes, size);
  *start = (uint32_t)(part - f->data);
  return size;
}

/* === The whole === */

/* Text for the tokenizer: letters of the vocabularies above, and now and then anything else. */
static inline size_t random_text(char *text, size_t most) {
  size_t size = 0;
  const size_t wanted = random_below(most + 1);
  while (size + 4 <= wanted) {
    switch (random_below(8)) {
      case 0: text[size++] = ' '; break;
      case 1: text[size++] = (char)random_below(128); break;
      case 2: text[size++] = (char)(random_below(40) ? 'b' : random_below(256)); break;
      default: size += random_letter((unsigned char *)text + size);
    }
  }
  return size;
}

/* All of a header but sizes and places: numbers that go together. */
static inline beex_header random_header(int large) {
  static const uint32_t bits[] = {1, 8, 32};
  const uint32_t most = large ? 40 : 6;
  beex_header h;
  memset(&h, 0, sizeof h);
  memcpy(h.magic, "BEEX", sizeof h.magic);
  h.version = BEEX_FORMAT_VERSION;
  h.vocabulary_size = random_from(1, random_below(4) ? 60 : large ? 300 : 140);
  h.length = random_from(1, random_below(2) ? 9 * most : 20);
  h.num_segments = random_from(1, 3);
  h.separator_id = random_below(h.vocabulary_size);
  h.num_heads = random_from(1, 4);
  h.width = h.num_heads * random_from(1, random_below(2) ? 6 : most);
  h.hidden_width = random_from(1, random_below(2) ? 20 : 4 * most);
  h.network = random_below(2);
  h.num_blocks = random_from(1, large ? 4 : 2);
  h.num_classes = random_from(1, random_below(4) ? 5 : 40);
  h.weight_bits = bits[random_below(3)];
  h.activation_bits = h.weight_bits == 1 ? bits[random_below(3)] : h.weight_bits;
  h.exact = h.weight_bits == 1 && h.activation_bits == 8 && random_below(4);
  h.embedding_bits = bits[random_below(3)];
  h.sigmoid_gate = h.network == BEEX_SLFN && random_below(2);
  h.attention_scale = 1.0f / sqrtf((float)(h.width / h.num_heads));
  if (random_below(8) == 0) h.attention_scale = random_float() * 0x1p10f;
  if (h.network == BEEX_SLFN) h.gate_width = random_sign() ? h.hidden_width : random_from(1, 2 * most);
  if (random_below(8) == 0) {
    h.task = BEEX_NUMBER;
    h.num_classes = 1;
    h.value_offset = random_float();
    h.value_scale = random_float();
    h.value_least = -1;
    h.value_most = random_below(2) ? 1 : INFINITY;
  }
  h.policy.kind = random_below(h.task == BEEX_NUMBER ? 6 : 5);
  h.policy.below = random_below(2);
  h.policy.threshold = random_float();
  h.content_activation = random_below(2);
  h.has_vocabulary = h.length >= 3 && random_below(4);
  if (h.has_vocabulary) {
    h.lower_case = random_below(2);
    h.unknown_id = random_below(h.vocabulary_size);
    h.classification_id = random_below(h.vocabulary_size);
    h.text_length = random_from(3, h.length);
  }
  return h;
}

/* Puts size, checksum and arena right. */
static inline void seal(unsigned char *data, size_t size) {
  beex_header *h = (beex_header *)(void *)data;
  const size_t checked = offsetof(beex_header, checksum) + sizeof h->checksum;
  beex_model model;
  model.header = h;
  h->size = (uint32_t)size;
  if (h->num_heads) h->arena_size = (uint32_t)beex_arena_size(&model);
  h->checksum = beex_crc32(data + checked, size - checked);
}

/* A model with that header; its sizes and places are filled in. The caller frees the data. */
static inline model_file write_model(beex_header h) {
  model_file f = {NULL, 0, 0};
  kind_of_weights = random_below(3);
  put(&f, sizeof h);
  h.weights = (uint32_t)BEEX_ROUND_UP(f.size, 64);
  put_embedding(&f, &h);
  for (uint32_t i = 0; i < h.num_blocks; i++) put_block(&f, &h);
  h.labels_size = 2 * h.num_classes;
  char *labels = put(&f, h.labels_size);
  h.labels = (uint32_t)((unsigned char *)labels - f.data);
  for (uint32_t i = 0; i < h.num_classes; i++) labels[2 * i] = (char)('a' + i % 26);
  if (h.has_vocabulary) {
    h.words_size = put_dictionary(&f, h.vocabulary_size, &h.words);
    h.pieces_size = put_dictionary(&f, h.vocabulary_size, &h.pieces);
  }
  char text[100];
  h.metadata_size = (uint32_t)random_text(text, sizeof text);
  unsigned char *metadata = put(&f, h.metadata_size);
  memcpy(metadata, text, h.metadata_size);
  h.metadata = (uint32_t)(metadata - f.data);
  memcpy(f.data, &h, sizeof h);
  seal(f.data, f.size);
  return f;
}

#endif
