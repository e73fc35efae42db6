/* Fuzz target of the tokenizer: any bytes are refused or become ids of the model.
 *
 * The first byte chooses case and pairs; a pair is cut in the middle. tools/fuzz.sh builds and runs this.
 */
#include "check_model.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes of any code point, of one that is none too, or of one that took too many. */
static size_t random_code_point(uint8_t *place) {
  static const uint32_t limits[] = {0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000, 0x200000};
  const uint32_t c = random_below(limits[random_below(7)]);
  const size_t least = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  const size_t size = least < 4 && random_below(50) == 0 ? least + 1 : least;
  if (size == 1) {
    place[0] = (uint8_t)c;
    return 1;
  }
  for (size_t i = 0; i < size; i++) place[i] = (uint8_t)(0x80 | (c >> 6 * (size - 1 - i) & 63));
  place[0] |= (uint8_t)(0xf00 >> size & 0xff);
  return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
  uint8_t part[200];
  seed_random(seed);
  if (random_below(3) == 0) return LLVMFuzzerMutate(data, size, most);
  const size_t added = random_below(4) ? random_code_point(part) : random_text((char *)part, sizeof part);
  if (size + added > most) return size;
  const size_t place = random_below(size + 1);
  memmove(data + place + added, data + place, size - place);
  memcpy(data + place, part, added);
  return size + added;
}

/* By RFC 3629, table 3-7 of the Unicode standard. */
static int is_utf8(const unsigned char *p, size_t size) {
  for (size_t i = 0; i < size;) {
    const unsigned first = p[i++];
    unsigned low = 0x80, high = 0xbf;
    const int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    for (int k = 0; k < more; k++, low = 0x80, high = 0xbf) {
      if (i == size || p[i] < low || p[i] > high) return 0;
      i++;
    }
  }
  return 1;
}

/* With and without case, for single texts and pairs. */
static beex_model models[4];

static void make_models(void) {
  for (uint32_t i = 0; i < 4; i++) {
    seed_random(i);
    beex_header h = random_header(0);
    h.vocabulary_size = 300;
    h.separator_id = 3;
    h.length = h.text_length = 24;
    h.has_vocabulary = 1;
    h.lower_case = i & 1;
    h.num_segments = 1 + (i >> 1);
    const model_file f = write_model(h);
    if (beex_open(&models[i], f.data, f.size) != BEEX_OK) abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (!models[0].header) make_models();
  if (size == 0) return 0;
  const beex_model *model = &models[bytes[0] & 3];
  const beex_header *h = model->header;
  const int is_pair = h->num_segments > 1;
  const size_t first = is_pair ? (size - 1) / 2 : size - 1, second = size - 1 - first;
  const size_t bytes_of_ids = h->text_length * sizeof(int32_t);
  char *text = malloc(first + 1), *pair = malloc(second + 1); /* not null even if empty */
  int32_t *cut = malloc(bytes_of_ids), *ids = malloc(bytes_of_ids);
  if (!text || !pair || !cut || !ids) abort();
  memcpy(text, bytes + 1, first);
  memcpy(pair, bytes + 1 + first, second);
  const int is_valid = is_utf8(bytes + 1, first) && is_utf8(bytes + 1 + first, second);
  size_t count = 0, whole = 0;
  const char *const other = is_pair ? pair : NULL;
  const beex_status status = beex_encode(model, text, first, other, second, 1, cut, &count);
  const beex_status strict = beex_encode(model, text, first, other, second, 0, ids, &whole);
  CHECK(status == (is_valid ? BEEX_OK : BEEX_ERROR_TEXT));
  if (status == BEEX_OK) {
    CHECK(count >= (is_pair ? 3 : 2) && count <= h->text_length);
    CHECK(cut[0] == (int32_t)h->classification_id && cut[count - 1] == (int32_t)h->separator_id);
    for (size_t i = 0; i < count; i++) CHECK(cut[i] >= 0 && (uint32_t)cut[i] < h->vocabulary_size);
    CHECK(strict == (whole > h->text_length ? BEEX_ERROR_LENGTH : BEEX_OK));
    CHECK(count == (strict == BEEX_OK ? whole : h->text_length));
    CHECK(strict != BEEX_OK || memcmp(cut, ids, count * sizeof *ids) == 0);
  } else {
    CHECK(strict == BEEX_ERROR_TEXT);
  }
  free(text);
  free(pair);
  free(cut);
  free(ids);
  if (failures) abort();
  return 0;
}
