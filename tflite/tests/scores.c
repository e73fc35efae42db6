/* scores MODEL.beex KERNELS < texts: what has to be the same everywhere. For each text a line with the exit,
 * the bits of the score and the CRC-32 of the exit's logits.
 */
#include "../engine/internal.h"
#include "read_file.h"

#include <string.h>

int main(int count, char **arguments) {
  if (count != 3) return 2;
  size_t size;
  void *data = read_file(arguments[1], &size);
  beex_model model;
  if (beex_open(&model, data, size)) return 2;
  const beex_options options = {beex_find_kernels(arguments[2])};
  const size_t arena_size = beex_best_arena_size(&model);
  void *arena = malloc(arena_size);
  beex_engine engine;
  if (!options.kernels || !arena || beex_start(&engine, &model, arena, arena_size, &options)) return 2;
  static char line[1 << 16];
  while (fgets(line, sizeof line, stdin) && *line != 4) { /* which ends what a board reads */
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
