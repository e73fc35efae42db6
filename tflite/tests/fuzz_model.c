/* Fuzz target of loader and engine: a file is refused, or runs alike in every setup.
 *
 * Size, checksum and arena of a changed file are put right first, or nothing would get past them. The file's
 * metadata, which the engine does not read, is the text. What is done with a file depends on its bytes
 * alone, so a finding comes again. tools/fuzz.sh builds and runs this.
 */
#include "check_model.h"

#define MOST_IDS 40
#define MOST_TEXT 300

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* === Changes that know the format === */

/* Values at which arithmetic goes wrong. */
static const uint32_t edges[] = {0,      1,       2,       3,           8,           15,          16,
                                 32,     63,      64,      65,          127,         128,         255,
                                 256,    65535,   65536,   65537,       0xffffff,    0x1000000,   0x1000001,
                                 1 << 30, 0x7fffffffu, 0x80000000u, 0xffffffc0u, 0xfffffffeu, 0xffffffffu};

static const float wild[] = {NAN,    INFINITY, -0.0f,  0.0f,   0x1p-149f, -0x1p-127f, 0x1p-126f,
                             1e-30f, -1e-20f,  1e-6f,  1.0f,   0x1p-12f,  -0.375f,    8.0f,
                             127.0f, 1024.0f,  -1e3f,  1.1e3f, -3.4e38f};

static uint32_t random_edge(void) { return edges[random_below(sizeof edges / sizeof *edges)]; }

static void change_header(uint8_t *data) {
  const size_t words = sizeof(beex_header) / 4, place = 4 * random_below(words);
  uint32_t value, other;
  memcpy(&value, data + place, 4);
  memcpy(&other, data + 4 * random_below(words), 4);
  switch (random_below(5)) {
    case 0: value = random_edge(); break;
    case 1: value += random_from(0, 8) - 4; break;
    case 2: value = random_below(2) ? value * 2 : value / 2; break;
    case 3: value = other; break;
    default: value = random_below(12);
  }
  memcpy(data + place, &value, 4);
}

static void change_policy(uint8_t *data) {
  const beex_policy policy = random_policy((const beex_header *)(const void *)data);
  memcpy(data + offsetof(beex_header, policy), &policy, sizeof policy);
}

static void change_floats(uint8_t *part, size_t size) {
  const size_t first = random_below(size), most = random_below(3) ? 1 : 64;
  const float value = wild[random_below(sizeof wild / sizeof *wild)];
  for (size_t i = 0, place = first / 4 * 4; i < most && place + 4 <= size; i++, place += 4) {
    memcpy(part + place, &value, 4);
  }
}

static void change_bytes(uint8_t *part, size_t size) {
  const size_t place = random_below(size), rest = size - place - 1;
  const uint32_t edge = random_edge();
  switch (random_below(6)) {
    case 0: part[place] ^= (uint8_t)(1u << random_below(8)); break;
    case 1: part[place] = (uint8_t)random_word(); break;
    case 2: part[place] = (uint8_t)(part[place] + random_from(0, 4) - 2); break;
    case 3: memmove(part + place, part + place + 1, rest); break;
    case 4: memmove(part + place + 1, part + place, rest); break;
    default: if (place / 4 * 4 + 4 <= size) memcpy(part + place / 4 * 4, &edge, 4);
  }
}

/* Text, which ends the file, so it may grow. */
static size_t change_text(uint8_t *data, size_t size, size_t most, beex_header *h) {
  const size_t start = h->metadata;
  if (random_sign()) {
    char text[MOST_TEXT];
    h->metadata_size = (uint32_t)random_text(text, most - start < sizeof text ? most - start : sizeof text);
    memcpy(data + start, text, h->metadata_size);
  } else {
    h->metadata_size = (uint32_t)LLVMFuzzerMutate(data + start, size - start, most - start);
  }
  memcpy(data, h, sizeof *h);
  return start + h->metadata_size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
  seed_random(seed);
  if (size < sizeof(beex_header) || random_below(16) == 0) {
    const model_file f = write_model(random_header(0));
    const int fits = f.size <= most;
    if (fits) memcpy(data, f.data, f.size);
    free(f.data);
    if (fits) return f.size;
  }
  if (size < sizeof(beex_header)) return LLVMFuzzerMutate(data, size, most);
  for (uint32_t changes = random_from(1, 3); changes; changes--) {
    beex_header h;
    memcpy(&h, data, sizeof h);
    const uint32_t parts[5][2] = {{h.labels, h.labels_size}, {h.words, h.words_size},
                                  {h.pieces, h.pieces_size}, {h.weights, h.labels - h.weights},
                                  {h.weights, h.labels - h.weights}};
    const uint32_t kind = random_below(12), *part = parts[kind < 5 ? kind : 4];
    const int is_there = part[1] > 0 && part[0] <= size && part[1] <= size - part[0];
    if (kind < 4) {
      if (is_there) change_bytes(data + part[0], part[1]);
    } else if (kind < 7) {
      if (is_there) change_floats(data + part[0], part[1]);
    } else if (kind == 7) {
      change_policy(data);
    } else if (kind == 8 && random_below(4) == 0) {
      size = LLVMFuzzerMutate(data, size, most);
      if (size < sizeof h) break;
    } else if (kind == 8 && h.metadata >= sizeof h && h.metadata < size) {
      size = change_text(data, size, most, &h);
    } else {
      change_header(data);
    }
  }
  return size;
}

/* === The target === */

/* Every word of a dictionary is found. Its entries are read here anew, as docs/beex_format.md has them. */
static void check_dictionary(const beex_header *h, uint32_t start, uint32_t size) {
  const beex_dictionary d = {(const unsigned char *)h + start, size};
  unsigned char word[256];
  uint32_t count;
  memcpy(&count, d.data, sizeof count);
  const unsigned char *p = d.data + 4 + 4 * (size_t)BEEX_CEIL_DIV(count, 16);
  for (size_t known = 0; count; count--) {
    const size_t shared = p[0], rest = p[1];
    size_t id = 0;
    p += 2;
    for (int shift = 0;; shift += 7) {
      id |= (size_t)(*p & 127) << shift;
      if (*p++ < 128) break;
    }
    CHECK(shared <= known);
    known = shared + rest;
    memcpy(word + shared, p, rest);
    p += rest;
    int32_t found = -1;
    CHECK(beex_longest_prefix(d, word, known, &found) == known);
    CHECK(found >= 0 && (size_t)found == id && id < h->vocabulary_size);
  }
  CHECK(p == d.data + size);
}

static void use(const beex_model *model) {
  const beex_header *h = model->header;
  int32_t ids[MOST_IDS];
  check_refusals(model);
  CHECK(h->text_length <= (h->has_vocabulary ? h->length : 0));
  if (h->has_vocabulary) {
    check_dictionary(h, h->words, h->words_size);
    check_dictionary(h, h->pieces, h->pieces_size);
  }
  /* In memory of its own, so that a byte too many is noticed. */
  const size_t size = h->metadata_size < MOST_TEXT ? h->metadata_size : MOST_TEXT;
  const size_t first = random_below(size + 1);
  char *text = malloc(first + 1), *pair = malloc(size - first + 1);
  if (!text || !pair) abort();
  memcpy(text, (const char *)h + h->metadata, first);
  memcpy(pair, (const char *)h + h->metadata + first, size - first);
  size_t count = check_text(model, text, first, pair, size - first, ids, MOST_IDS);
  if (!count) count = random_ids(h, MOST_IDS, ids);
  check_ids(model, ids, count, 0);
  free(text);
  free(pair);
}

/* Spoils one in a few files, and says how it is to be refused. */
static beex_status spoil(unsigned char *data, size_t size) {
  beex_header *h = (beex_header *)(void *)data;
  const size_t checked = offsetof(beex_header, checksum) + sizeof h->checksum;
  switch (random_below(64)) {
    case 0: h->size += random_from(1, 9); return BEEX_ERROR_FORMAT;
    case 1: data[checked + random_below(size - checked)] ^= 1; return BEEX_ERROR_CHECKSUM;
    case 2:
      h->arena_size++;
      h->checksum = beex_crc32(data + checked, size - checked);
      return BEEX_ERROR_CONTENT;
    default: return BEEX_OK;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  seed_random(beex_crc32(data, size));
  const int shifted = random_sign();
  unsigned char *copy = allocate(size, shifted);
  beex_status expected = BEEX_OK;
  if (size) memcpy(copy, data, size);
  if (size >= sizeof(beex_header)) {
    seal(copy, size);
    expected = spoil(copy, size);
  }
  beex_model model;
  const beex_status status = beex_open(&model, copy, size);
  CHECK(status == BEEX_OK || status == BEEX_ERROR_FORMAT || status == BEEX_ERROR_CHECKSUM ||
        status == BEEX_ERROR_CONTENT || status == BEEX_ERROR_WEIGHTS);
  /* What is wrong besides may be noticed first. */
  if (expected != BEEX_OK) CHECK(status == expected || status == BEEX_ERROR_FORMAT);
  if (expected != BEEX_ERROR_CHECKSUM) CHECK(status != BEEX_ERROR_CHECKSUM);
  CHECK(beex_open(&model, copy + 1, size) == BEEX_ERROR_ALIGNMENT);
  CHECK(*beex_status_message((beex_status)random_below(20)));
  if (status == BEEX_OK) use(&model);
  release(copy, shifted);
  if (failures) abort();
  return 0;
}
