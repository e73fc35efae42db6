/* Where an engine's numbers lie in its arena, and how many bytes they take. */
#include "internal.h"

/* Tokens that a block takes at a time, once it has the keys and values of all. */
#define LEAST_ROWS 8
#define MOST_ROWS 64

/* Parts that only one kind of model needs are null in the others. */
static void lay_out(beex_engine *e, const beex_header *h, uint64_t rows, beex_cursor *cursor) {
  const uint64_t length = h->length, width = h->width, hidden = beex_widest_channels(h);
  const uint64_t columns = BEEX_ROUND_UP(length, 16);
  const uint64_t words = BEEX_CEIL_DIV(width, 64), hidden_words = BEEX_CEIL_DIV(hidden, 64);
  const int binary = h->activation_bits == 1, quantizes = h->activation_bits == 8;
  const int on_grid = beex_is_on_grid(h);
  e->rows = (size_t)rows;
  e->key = e->value = e->hidden = NULL;
  e->key_pairs = e->value_pairs = e->query_pairs = e->shares = NULL;
  e->bits = e->hidden_bits = NULL;
  e->quantized = NULL;
  e->quantized_rows = NULL;
  e->x = BEEX_TAKE(cursor, float, length * width);
  if (on_grid) {
    e->key_pairs = BEEX_TAKE(cursor, int16_t, h->num_heads * beex_even_depth(h) * columns);
    e->value_pairs = BEEX_TAKE(cursor, int16_t, BEEX_ROUND_UP(length, 2) * width);
  } else {
    e->key = BEEX_TAKE(cursor, float, width * columns);
    e->value = BEEX_TAKE(cursor, float, length * width);
  }
  if (binary) e->bits = BEEX_TAKE(cursor, uint64_t, length * words);
  if (quantizes) {
    const uint64_t widest = width > hidden ? width : hidden;
    e->quantized = BEEX_TAKE(cursor, int8_t, rows * BEEX_ROUND_UP(widest, 4));
    e->quantized_rows = BEEX_TAKE(cursor, beex_quantized_row, rows);
  }
  e->first = BEEX_TAKE(cursor, float, rows * width);
  e->second = BEEX_TAKE(cursor, float, rows * width);
  /* What only the attention and what only the network behind it needs share their place. */
  beex_cursor beside = *cursor;
  e->scores = BEEX_TAKE(cursor, float, rows * columns);
  if (on_grid) {
    e->query_pairs = BEEX_TAKE(cursor, int16_t, rows * h->num_heads * beex_even_depth(h));
    e->shares = BEEX_TAKE(cursor, int16_t, rows * columns);
  }
  if (binary) {
    e->hidden_bits = BEEX_TAKE(&beside, uint64_t, rows * hidden_words);
  } else {
    e->hidden = BEEX_TAKE(&beside, float, rows * hidden);
  }
  if (beside.offset > cursor->offset) cursor->offset = beside.offset;
  e->pooled = BEEX_TAKE(cursor, float, width);
  e->logits = BEEX_TAKE(cursor, float, (uint64_t)h->num_blocks * h->num_classes);
  e->ids = BEEX_TAKE(cursor, int32_t, length);
}

static uint64_t bytes_for(const beex_header *h, uint64_t rows) {
  beex_engine unused;
  beex_cursor counter = {NULL, 0};
  lay_out(&unused, h, rows, &counter);
  return counter.offset;
}

/* As many rows as are of use, in steps of the least. */
static uint64_t most_rows(const beex_header *h) {
  return h->length < MOST_ROWS ? BEEX_ROUND_UP((uint64_t)h->length, LEAST_ROWS) : MOST_ROWS;
}

size_t beex_arena_size(const beex_model *model) {
  const uint64_t size = bytes_for(model->header, LEAST_ROWS);
  return size > SIZE_MAX ? SIZE_MAX : (size_t)size;
}

size_t beex_best_arena_size(const beex_model *model) {
  const uint64_t size = bytes_for(model->header, most_rows(model->header));
  return size > SIZE_MAX ? SIZE_MAX : (size_t)size;
}

int beex_lay_out(beex_engine *engine, const beex_header *h, void *arena, size_t size) {
  uint64_t rows = most_rows(h);
  while (rows > LEAST_ROWS && bytes_for(h, rows) > size) rows -= LEAST_ROWS;
  if (bytes_for(h, rows) > size) return 0;
  beex_cursor cursor = {(unsigned char *)arena, 0};
  lay_out(engine, h, rows, &cursor);
  return 1;
}
