/* Runs a fuzz target without libFuzzer: on random changes of a seed file.
 *
 *     fuzz SEED_FILE ROUNDS
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 88172645463325252u;

static size_t random_below(size_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)(state >> 16) % limit;
}

/* Values at which arithmetic goes wrong. */
static const uint32_t edges[] = {0, 1, 2, 63, 64, 65, 255, 256, 65535, 65536, 0x7fffffffu,
                                 0x80000000u, 0xffffffc0u, 0xffffffffu};

static void change(uint8_t *data, size_t size) {
  /* Half of the changes hit the beginning, where the header is. */
  const size_t place = random_below(random_below(2) && size > 256 ? 256 : size);
  switch (random_below(4)) {
    case 0: data[place] ^= (uint8_t)(1u << random_below(8)); break;
    case 1: data[place] = (uint8_t)random_below(256); break;
    case 2: data[place] = data[random_below(size)]; break;
    default:
      if (size >= 4) {
        memcpy(data + place / 4 * 4 - (place / 4 * 4 + 4 > size ? 4 : 0),
               &edges[random_below(sizeof edges / sizeof *edges)], 4);
      }
  }
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  FILE *file = fopen(arguments[1], "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) return 2;
  const size_t size = (size_t)ftell(file);
  rewind(file);
  uint8_t *seed = malloc(size), *data = malloc(size);
  if (!size || !seed || !data || fread(seed, 1, size, file) != size) return 2;
  fclose(file);
  for (long round = atol(arguments[2]); round; round--) {
    memcpy(data, seed, size);
    const size_t length = random_below(8) ? size : 1 + random_below(size);
    for (size_t changes = random_below(6); changes; changes--) change(data, length);
    LLVMFuzzerTestOneInput(data, length);
  }
  LLVMFuzzerTestOneInput(seed, size);
  free(seed);
  free(data);
  puts("no finding");
  return 0;
}
