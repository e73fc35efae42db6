/* WordPiece with the normalization of BERT, as tensorflow-text's FastBertTokenizer does it.
 *
 *     for each code point of the text
 *       for each code point that it becomes: lower case, without accents
 *         a space ends the word; punctuation and CJK end it and are a word of their own
 *     for each word
 *       take the longest piece that it begins with, then the longest that goes on, and so forth;
 *       if nothing fits, the whole word is unknown
 */
#include "internal.h"
#include "unicode_tables.h"

#include <string.h>

#define MOST_BYTES_A_WORD 100

/* How the rules of unicode_tables.h are coded. */
enum { TO_CODE_POINT, TO_STRING, TO_NOTHING };

typedef struct {
  const beex_header *header;
  beex_dictionary words, pieces;
  int32_t *ids; /* room for `capacity`; more are only counted */
  size_t capacity, count;
  unsigned char word[MOST_BYTES_A_WORD];
  size_t word_size; /* bytes of the word so far, those that have no room included */
} tokenizer;

static void add_token(tokenizer *t, int32_t id) {
  if (t->count < t->capacity) t->ids[t->count] = id;
  t->count++;
}

static void end_word(tokenizer *t) {
  const size_t size = t->word_size, first = t->count;
  t->word_size = 0;
  if (size == 0) return;
  size_t done = size > MOST_BYTES_A_WORD ? size : 0;
  int known = !done;
  while (done < size) {
    int32_t id = 0;
    const size_t piece =
        beex_longest_prefix(done ? t->pieces : t->words, t->word + done, size - done, &id);
    if (!piece) {
      known = 0;
      break;
    }
    add_token(t, id);
    done += piece;
  }
  if (!known) {
    t->count = first;
    add_token(t, (int32_t)t->header->unknown_id);
  }
}

static void add_byte(tokenizer *t, uint32_t byte) {
  if (t->word_size < MOST_BYTES_A_WORD) t->word[t->word_size] = (unsigned char)byte;
  t->word_size++;
}

static void add_code_point(tokenizer *t, uint32_t c) {
  if (c < 0x80) {
    add_byte(t, c);
  } else if (c < 0x800) {
    add_byte(t, 0xc0 | c >> 6);
    add_byte(t, 0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    add_byte(t, 0xe0 | c >> 12);
    add_byte(t, 0x80 | (c >> 6 & 0x3f));
    add_byte(t, 0x80 | (c & 0x3f));
  } else {
    add_byte(t, 0xf0 | c >> 18);
    add_byte(t, 0x80 | (c >> 12 & 0x3f));
    add_byte(t, 0x80 | (c >> 6 & 0x3f));
    add_byte(t, 0x80 | (c & 0x3f));
  }
}

static int is_among(const beex_range *ranges, size_t count, uint32_t c) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (c > ranges[middle].last) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && ranges[low].first <= c;
}

#define IS_AMONG(ranges, c) is_among(ranges, sizeof(ranges) / sizeof *(ranges), c)

/* A code point after normalization. */
static void add_normal(tokenizer *t, uint32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
    add_byte(t, c);
  } else if (IS_AMONG(beex_spaces, c)) {
    end_word(t);
  } else if (IS_AMONG(beex_alone, c)) {
    end_word(t);
    add_code_point(t, c);
    end_word(t);
  } else {
    add_code_point(t, c);
  }
}

/* The code point at *text, which moves on; 0xffffffff if it is not valid UTF-8. */
static uint32_t next_code_point(const unsigned char **text, const unsigned char *end) {
  const unsigned char *p = *text;
  const uint32_t first = *p++;
  uint32_t c = first, lowest = 0;
  int more = 0;
  if (first >= 0xf0 && first < 0xf8) {
    c = first & 7, more = 3, lowest = 0x10000;
  } else if (first >= 0xe0) {
    c = first & 15, more = 2, lowest = 0x800;
  } else if (first >= 0xc0) {
    c = first & 31, more = 1, lowest = 0x80;
  }
  if ((first >= 0x80 && !more) || first >= 0xf8 || end - p < more) return 0xffffffffu;
  for (; more; more--, p++) {
    if ((*p & 0xc0) != 0x80) return 0xffffffffu;
    c = c << 6 | (*p & 0x3f);
  }
  if (c < lowest || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0xffffffffu;
  *text = p;
  return c;
}

/* A Hangul syllable comes apart into two or three letters. */
static void add_hangul(tokenizer *t, uint32_t syllable) {
  add_code_point(t, 0x1100 + syllable / 588);
  add_code_point(t, 0x1161 + syllable % 588 / 28);
  if (syllable % 28) add_code_point(t, 0x11a7 + syllable % 28);
}

static void add_string(tokenizer *t, const unsigned char *text, size_t size) {
  const unsigned char *const end = text + size;
  while (text < end) add_normal(t, next_code_point(&text, end));
}

/* A code point of a text whose case does not matter. */
static void add_folded(tokenizer *t, uint32_t c) {
  if (c >= 0xac00 && c < 0xd7a4) {
    add_hangul(t, c - 0xac00);
    return;
  }
  /* The last entry of its plane at or before it. */
  size_t low = beex_fold_plane[c >> 16], high = beex_fold_plane[(c >> 16) + 1];
  const size_t begin = low;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (beex_fold_first[middle] <= (c & 0xffff)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == begin) {
    add_normal(t, c);
    return;
  }
  const uint32_t rule = beex_fold_rule[low - 1], step = (c & 0xffff) - beex_fold_first[low - 1];
  const uint32_t size = rule >> 24 & 0x3f; /* code points less one, or bytes of a string */
  switch (rule >> 30) {
    case TO_CODE_POINT: {
      const uint32_t stride = rule >> 22 & 1, constant = rule >> 21 & 1;
      if ((stride && step % 2) || step >> stride > size) break;
      add_normal(t, (rule & 0x1fffff) + (constant ? 0 : step));
      return;
    }
    case TO_STRING:
      if (step) break;
      add_string(t, beex_fold_strings + (rule & 0xffffff), size);
      return;
    default: /* TO_NOTHING */
      if (step < (rule & 0xffffff)) return;
  }
  add_normal(t, c);
}

static beex_status add_text(tokenizer *t, const char *text, size_t size) {
  const unsigned char *p = (const unsigned char *)text, *const end = p + size;
  const int lower_case = t->header->lower_case != 0;
  while (p < end) {
    const uint32_t c = next_code_point(&p, end);
    if (c == 0xffffffffu) return BEEX_ERROR_TEXT;
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      add_byte(t, c);
    } else if (lower_case) {
      add_folded(t, c);
    } else if (IS_AMONG(beex_controls, c)) {
      end_word(t);
    } else {
      add_normal(t, c);
    }
  }
  end_word(t);
  return BEEX_OK;
}

/* Tokens of a text into at most `capacity` ids; *count has all. */
static beex_status tokenize(const beex_model *model, const char *text, size_t size, int32_t *ids,
                            size_t capacity, size_t *count) {
  const beex_header *h = model->header;
  const unsigned char *base = (const unsigned char *)h;
  tokenizer t = {h, {base + h->words, h->words_size}, {base + h->pieces, h->pieces_size},
                 ids, capacity, 0, {0}, 0};
  const beex_status status = add_text(&t, text, size);
  *count = t.count;
  return status;
}

beex_status beex_encode_all(const beex_model *model, const char *text, size_t text_size,
                            const char *pair, size_t pair_size, int truncate, int32_t *ids,
                            size_t *count, size_t *all) {
  if (!model || !ids || !count || (!text && text_size)) return BEEX_ERROR_ARGUMENT;
  const beex_header *h = model->header;
  if (!text) text = ""; /* no text has no address, from which none may be computed */
  if (!h->has_vocabulary) return BEEX_ERROR_VOCABULARY;
  if (pair && h->num_segments == 1) return BEEX_ERROR_PAIR;
  if (!pair && h->num_segments > 1) return BEEX_ERROR_SINGLE;
  const int32_t separator = (int32_t)h->separator_id;
  const size_t length = h->text_length, places = length - (pair ? 3 : 2);
  /* The first text, as if it had all places; then the second, in the place behind it. */
  size_t first, second = 0;
  ids[0] = (int32_t)h->classification_id;
  beex_status status = tokenize(model, text, text_size, ids + 1, places, &first);
  if (status != BEEX_OK) return status;
  if (pair) {
    /* Its length decides how much of the first stays, so it is counted before it is written. */
    status = tokenize(model, pair, pair_size, NULL, 0, &second);
    if (status != BEEX_OK) return status;
  }
  *count = *all = first + second + length - places;
  if (*all > length && !truncate) return BEEX_ERROR_LENGTH;
  if (pair) {
    const size_t rest = places > first ? places - first : 0;
    const size_t most = rest > places / 2 ? rest : places / 2;
    if (second > most) second = most;
  }
  if (first > places - second) first = places - second;
  ids[first + 1] = separator;
  if (pair) {
    size_t counted;
    status = tokenize(model, pair, pair_size, ids + first + 2, second, &counted);
    if (status != BEEX_OK) return status;
    ids[first + second + 2] = separator;
  }
  *count = first + second + length - places;
  return BEEX_OK;
}

beex_status beex_encode(const beex_model *model, const char *text, size_t text_size,
                        const char *pair, size_t pair_size, int truncate, int32_t *ids,
                        size_t *count) {
  size_t all;
  return beex_encode_all(model, text, text_size, pair, pair_size, truncate, ids, count, &all);
}
