/* Runs a fuzz target without libFuzzer: on random changes of seed files.
 *
 *     fuzz ROUNDS SEED_FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)1 << 16)

static uint64_t state = 88172645463325252u;

/* xorshift64 */
static size_t random_below(size_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)(state >> 16) % limit;
}

/* What libFuzzer offers to mutators: here one byte more, less or other. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) {
  const size_t kind = size ? random_below(4) : 0, place = random_below(size + 1);
  if (kind == 0 && size < most) {
    memmove(data + place + 1, data + place, size - place);
    data[place] = (uint8_t)random_below(256);
    return size + 1;
  }
  if (size == 0) return 0;
  if (kind == 1) return 1 + random_below(size);
  data[random_below(size)] ^= (uint8_t)(1 + random_below(255));
  return size;
}

int main(int count, char **arguments) {
  uint8_t *seed = malloc(MOST), *data = malloc(MOST);
  if (count < 3 || !seed || !data) return 2;
  for (int i = 2; i < count; i++) {
    FILE *file = fopen(arguments[i], "rb");
    if (!file) return 2;
    const size_t whole = fread(seed, 1, MOST, file);
    fclose(file);
    LLVMFuzzerTestOneInput(seed, whole);
    for (long round = atol(arguments[1]); round; round--) {
      size_t size = whole;
      memcpy(data, seed, size);
      for (size_t changes = 1 + random_below(3); changes; changes--) {
        size = LLVMFuzzerCustomMutator(data, size, MOST, (unsigned)random_below(1u << 31));
      }
      LLVMFuzzerTestOneInput(data, size);
    }
  }
  free(seed);
  free(data);
  puts("no finding");
  return 0;
}
