/* Words in order of their bytes, each stored as what it adds to the one before.
 *
 * A word takes 2 + rest bytes and its id. Every 16th is stored whole, and the places of these are listed,
 * so that a search halves the list and then reads 16 words at most.
 */
#include "internal.h"

#include <string.h>

#define BLOCK 16

typedef struct {
  const unsigned char *next, *end;
  unsigned char word[256];
  size_t size;
  uint32_t id;
} reader;

static uint32_t read_u32(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The next entry: shared length, rest's length, id in groups of 7 bits (lowest first), rest. */
static int read_entry(reader *r) {
  if (r->end - r->next < 3) return 0;
  const size_t shared = *r->next++, rest = *r->next++;
  uint32_t id = 0;
  for (int shift = 0;; shift += 7) {
    if (r->next == r->end || shift > 21) return 0;
    id |= (uint32_t)(*r->next & 127) << shift;
    if (!(*r->next++ & 128)) break;
  }
  if (shared > r->size || shared + rest > 255 || (size_t)(r->end - r->next) < rest) return 0;
  memcpy(r->word + shared, r->next, rest);
  r->next += rest;
  r->size = shared + rest;
  r->id = id;
  return 1;
}

static uint32_t count_of(beex_dictionary d) { return read_u32(d.data); }

static reader reader_at(beex_dictionary d, uint32_t block) {
  reader r;
  r.next = d.data + read_u32(d.data + 4 + 4 * (size_t)block);
  r.end = d.data + d.size;
  r.size = 0;
  return r;
}

static int compare(const unsigned char *a, size_t a_size, const unsigned char *b, size_t b_size) {
  const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
  return order ? order : (a_size > b_size) - (a_size < b_size);
}

int beex_dictionary_is_valid(beex_dictionary d, uint32_t limit) {
  if (d.size < 4) return 0;
  const uint32_t count = count_of(d);
  const uint64_t blocks = BEEX_CEIL_DIV((uint64_t)count, BLOCK);
  if (4 + 4 * blocks > d.size) return 0;
  reader r = {d.data + 4 + 4 * blocks, d.data + d.size, {0}, 0, 0};
  for (uint32_t entry = 0; entry < count; entry++) {
    if (entry % BLOCK == 0) {
      if ((size_t)(r.next - d.data) != read_u32(d.data + 4 + 4 * (size_t)(entry / BLOCK))) return 0;
      if (r.next == r.end || *r.next != 0) return 0; /* it shares nothing */
    }
    unsigned char before[256];
    const size_t before_size = r.size;
    memcpy(before, r.word, before_size);
    if (!read_entry(&r) || r.id >= limit || r.size == 0) return 0;
    if (entry && compare(before, before_size, r.word, r.size) >= 0) return 0;
  }
  return r.next == r.end;
}

/* The last entry at or before the word: its size and id, whether the word begins with it, and how many
 * bytes they have in common. */
typedef struct {
  size_t size, common;
  int32_t id;
} neighbour;

static size_t common_bytes(const unsigned char *a, size_t a_size, const unsigned char *b,
                           size_t b_size) {
  size_t n = 0;
  while (n < a_size && n < b_size && a[n] == b[n]) n++;
  return n;
}

static neighbour last_not_after(beex_dictionary d, const unsigned char *word, size_t size) {
  neighbour found = {1, 0, 0}; /* none: nothing in common */
  const uint32_t count = count_of(d);
  uint32_t low = 0, high = BEEX_CEIL_DIV(count, BLOCK);
  while (low < high) { /* blocks before low begin at or before the word, those from high after it */
    const uint32_t middle = low + (high - low) / 2;
    reader r = reader_at(d, middle);
    if (read_entry(&r) && compare(r.word, r.size, word, size) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return found;
  reader r = reader_at(d, low - 1);
  for (uint32_t entry = (low - 1) * BLOCK; entry < count && entry < low * BLOCK; entry++) {
    if (!read_entry(&r) || compare(r.word, r.size, word, size) > 0) break;
    found.size = r.size;
    found.common = common_bytes(r.word, r.size, word, size);
    found.id = (int32_t)r.id;
  }
  return found;
}

/* If the last entry at or before the word is not a prefix of it, then no longer prefix than what the
 * two have in common is an entry: it would stand between them. */
size_t beex_longest_prefix(beex_dictionary d, const unsigned char *word, size_t size, int32_t *id) {
  while (size) {
    const neighbour found = last_not_after(d, word, size);
    if (found.common == found.size) {
      *id = found.id;
      return found.size;
    }
    size = found.common;
  }
  return 0;
}
