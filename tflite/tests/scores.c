/* scores MODEL.beex KERNELS < texts: what has to be the same everywhere. For each text a line with the exit,
 * the bits of the score and the CRC-32 of the exit's logits.
 */
#include "../engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments) {
  FILE *file = count == 3 ? fopen(arguments[1], "rb") : NULL;
  if (!file || fseek(file, 0, SEEK_END)) return 2;
  const size_t size = (size_t)ftell(file);
  void *data = malloc(size);
  rewind(file);
  beex_model model;
  if (!data || fread(data, 1, size, file) != size || beex_open(&model, data, size)) return 2;
  fclose(file);
  const beex_kernels *const *k = beex_available_kernels();
  while (*k && strcmp((*k)->name, arguments[2])) k++;
  const beex_options options = {*k, 0};
  const size_t arena_size = beex_best_arena_size(&model);
  void *arena = malloc(arena_size);
  beex_engine engine;
  if (!*k || !arena || beex_start(&engine, &model, arena, arena_size, &options)) return 2;
  static char line[1 << 16];
  while (fgets(line, sizeof line, stdin)) {
    beex_result result;
    if (beex_classify(&engine, line, strcspn(line, "\n"), NULL, 0, &result)) return 2;
    uint32_t bits;
    memcpy(&bits, &result.score, sizeof bits);
    const size_t classes = model.header->num_classes;
    const float *logits = engine.logits + (result.exit - 1) * classes;
    printf("%u %08lx %08lx\n", (unsigned)result.exit, (unsigned long)bits,
           (unsigned long)beex_crc32(logits, classes * sizeof *logits));
  }
  free(arena), free(data);
  return 0;
}
