/* Instructions of the products of a linear layer, 64 tokens of 256 channels to 256: a name and a number
 * a line. Those that read floats take 32 tokens, so that the smallest board holds them, and count twice. */
#include "beex.h"
#include "board.h"

#include <string.h>

#define ROWS 64
#define HALF (ROWS / 2)
#define SIZE 256

extern const uint64_t weights[]; /* as many random bits as float weights have */

static union {
  uint64_t bits[ROWS * SIZE / 64];
  int8_t bytes[ROWS * SIZE];
  float reals[HALF * SIZE];
} x;
static float y[ROWS * SIZE];
static beex_quantized_row rows[ROWS];
static float scale[SIZE], bias[SIZE];

#define COUNT(name, times, call)                       \
  do {                                                 \
    board_count();                                     \
    call;                                              \
    const uint64_t ticks = board_ticks();              \
    board_print(name "\t");                            \
    board_print_number(times * board_instructions(ticks)); \
    board_print("\n");                                 \
  } while (0)

int main(void) {
  const beex_kernels *k = beex_best_kernels();
  for (size_t i = 0; i < SIZE; i++) scale[i] = 0.5f, bias[i] = 0.25f;
  for (size_t i = 0; i < ROWS; i++) rows[i].scale = 0.01f;
  memcpy(x.bits, weights, sizeof x.bits);
  COUNT("binary x binary, to signs", 1,
        k->binary_signs(ROWS, SIZE, SIZE, x.bits, weights, scale, bias, (uint64_t *)y));
  COUNT("binary x binary", 1,
        k->binary_linear(ROWS, SIZE, SIZE, x.bits, weights, scale, bias, y));
  memcpy(x.bytes, weights, sizeof x.bytes);
  COUNT("int8 x binary", 1,
        k->int8_linear(ROWS, SIZE, SIZE, x.bytes, rows, weights, scale, bias, y));
  COUNT("int8 x int8", 1,
        k->int8_int8_linear(ROWS, SIZE, SIZE, x.bytes, rows, (const int8_t *)weights, scale, bias,
                            y));
  memcpy(x.reals, weights, sizeof x.reals);
  COUNT("float32 x binary", 2,
        k->real_linear(HALF, SIZE, SIZE, x.reals, weights, scale, bias, y));
  COUNT("float32 x float32", 2,
        k->matmul(HALF, SIZE, SIZE, x.reals, SIZE, (const float *)weights, SIZE, y, SIZE));
  return 0;
}
