/* Fuzz target of the tokenizer: any bytes are refused or become ids of the model.
 *
 * The model is the file that the environment's BEEX_MODEL names. One of pairs gets the text cut in the
 * middle. A bit of the first byte chooses whether texts that are too long are cut. With libFuzzer: as fuzz_model.c.
 */
#include "../engine/beex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *data;
static beex_model model;

static void open_model(void) {
  const char *path = getenv("BEEX_MODEL");
  FILE *file = path ? fopen(path, "rb") : NULL;
  if (!file || fseek(file, 0, SEEK_END) != 0) abort();
  const size_t size = (size_t)ftell(file);
  rewind(file);
  data = malloc(size);
  if (!data || fread(data, 1, size, file) != size) abort();
  fclose(file);
  if (beex_open(&model, data, size) != BEEX_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (!data) open_model();
  if (size == 0) return 0;
  const beex_header *h = model.header;
  const int is_pair = h->num_segments > 1, truncate = bytes[0] >> 1 & 1;
  const size_t text_size = size - 1, first = is_pair ? text_size / 2 : text_size;
  char *text = malloc(text_size + 1); /* not null even if empty */
  int32_t *ids = malloc(h->text_length * sizeof *ids);
  if (!text || !ids) abort();
  memcpy(text, bytes + 1, text_size);
  size_t count = 0;
  const beex_status status = beex_encode(&model, text, first, is_pair ? text + first : NULL,
                                         text_size - first, truncate, ids, &count);
  if (status == BEEX_OK) {
    if (count < 2 || count > h->text_length) abort();
    for (size_t i = 0; i < count; i++) {
      if (ids[i] < 0 || (uint32_t)ids[i] >= h->vocabulary_size) abort();
    }
  } else if (status != BEEX_ERROR_TEXT && (truncate || status != BEEX_ERROR_LENGTH)) {
    abort();
  }
  free(text);
  free(ids);
  return 0;
}
