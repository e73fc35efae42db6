/* Random valid models: all kernels, arenas and policies give the same bits.
 *
 *     differential_test COUNT [FIRST]     models number FIRST (0 by default) and those behind it
 *     differential_test -w FOLDER COUNT   writes small ones to files, as seeds for the fuzzer
 */
#include "check_model.h"

static int write_seeds(const char *folder, long count) {
  for (long number = 0; number < count; number++) {
    char path[1000];
    if (snprintf(path, sizeof path, "%s/%ld.beex", folder, number) >= (int)sizeof path) return 2;
    seed_random((uint64_t)number);
    const model_file f = write_model(random_header(0));
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(f.data, 1, f.size, file) != f.size || fclose(file) != 0) return 2;
    free(f.data);
  }
  return 0;
}

/* Memory as large as the file. */
static void check(const model_file *f) {
  const int shifted = random_sign();
  unsigned char *data = allocate(f->size, shifted);
  memcpy(data, f->data, f->size);
  beex_model model;
  const beex_status status = beex_open(&model, data, f->size);
  CHECK(status == BEEX_OK);
  if (status == BEEX_OK) {
    const beex_header *h = model.header;
    int32_t *ids = malloc(h->length * sizeof *ids);
    char text[200];
    if (!ids) abort();
    check_refusals(&model);
    check_ids(&model, ids, random_ids(h, h->length, ids), 1);
    for (int i = 0; i < 3; i++) {
      const size_t size = random_text(text, sizeof text), first = random_below(size + 1);
      check_text(&model, text, first, text + first, size - first, ids, 0);
    }
    free(ids);
    if (!h->has_vocabulary) {
      ((beex_header *)(void *)data)->text_length = 5; /* without a text, a program would believe it */
      seal(data, f->size);
      CHECK(beex_open(&model, data, f->size) == BEEX_ERROR_CONTENT);
    }
  }
  release(data, shifted);
}

int main(int count, char **arguments) {
  if (count == 4 && strcmp(arguments[1], "-w") == 0) return write_seeds(arguments[2], atol(arguments[3]));
  if (count < 2) return 2;
  const long models = atol(arguments[1]), first = count > 2 ? atol(arguments[2]) : 0;
  long wrong = 0;
  for (long number = first; number < first + models; number++) {
    seed_random((uint64_t)number);
    const model_file f = write_model(random_header(random_below(4) == 0));
    failures = 0;
    check(&f);
    if (failures) printf("FAIL model %ld\n", number);
    wrong += failures != 0;
    free(f.data);
  }
  printf("%ld models, %ld runs, %ld mismatches\n", models, runs, wrong);
  return wrong != 0;
}
