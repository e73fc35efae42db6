/* Instructions of each kernel, of every implementation that the board has. A line tells implementation,
 * kernel, shape, how much work it is (multiply-accumulates, or numbers), and instructions. */
#include "../../tflite/engine/beex.h"
#include "../../tflite/firmware/board.h"
#include "../../tflite/kernels/kernels.h"

#include <string.h>

#define MOST_OUTPUTS 256

extern const uint64_t weights[]; /* as many random bits as 256 x 256 floats have */

/* Rows, inputs, outputs; layers of real numbers of the first shape take 16 rows, to fit the boards. */
static const size_t shapes[][3] = {{64, 256, 256}, {25, 64, 64}, {25, 64, 128}, {25, 128, 64}};

static union {
  uint64_t bits[64 * 4];
  int8_t bytes[64 * 256];
  int16_t shorts[32 * 64];
  float reals[16 * 256];
} x;
static float y[64 * 256], z[25 * 64];
static int16_t shares[25 * 32];
static beex_quantized_row rows[64];
static float scale[MOST_OUTPUTS], bias[MOST_OUTPUTS];

static const char *implementation;

static void print(const char *kernel, const char *shape, size_t work, uint64_t ticks) {
  board_print(implementation);
  board_print("\t");
  board_print(kernel);
  board_print("\t");
  board_print(shape);
  board_print("\t");
  board_print_number(work);
  board_print("\t");
  board_print_number(board_instructions(ticks));
  board_print("\n");
}

#define COUNT(kernel, shape, work, call)          \
  do {                                            \
    board_count();                                \
    call;                                         \
    print(kernel, shape, work, board_ticks());    \
  } while (0)

static void count_layers(const beex_kernels *k, const char *shape, size_t n, size_t depth,
                         size_t outputs) {
  const size_t few = n * depth > 16 * 256 ? 16 : n;
  const size_t work = n * depth * outputs, less = few * depth * outputs;
  memcpy(x.bits, weights, sizeof x.bits);
  COUNT("binary_linear", shape, work,
        k->binary_linear(n, depth, outputs, x.bits, weights, scale, bias, y));
  COUNT("binary_signs", shape, work,
        k->binary_signs(n, depth, outputs, x.bits, weights, scale, bias, (uint64_t *)(void *)y));
  memcpy(x.bytes, weights, sizeof x.bytes);
  COUNT("int8_linear", shape, work,
        k->int8_linear(n, depth, outputs, x.bytes, rows, weights, scale, bias, y));
  COUNT("int8_int8_linear", shape, work,
        k->int8_int8_linear(n, depth, outputs, x.bytes, rows, (const int8_t *)weights, scale, bias,
                            y));
  memcpy(x.reals, weights, sizeof x.reals);
  COUNT("real_linear", shape, less,
        k->real_linear(few, depth, outputs, x.reals, weights, scale, bias, y));
  COUNT("matmul", shape, less,
        k->matmul(few, depth, outputs, x.reals, depth, (const float *)weights, outputs, y, outputs));
}

/* Of 25 tokens in 64 channels, and of the attention of one of two heads. */
static void count_others(const beex_kernels *k) {
  const size_t count = 25 * 64;
  const char *shape = "25 x 64";
  memcpy(x.reals, weights, sizeof x.reals);
  memcpy(y, weights, count * sizeof *y);
  COUNT("pack_signs", shape, count, k->pack_signs(25, 64, y, x.bits));
  COUNT("to_int16", shape, count, k->to_int16(count, 6, y, x.shorts));
  COUNT("int16_matmul", "25 x 32 x 25", 25 * 32 * 25,
        k->int16_matmul(25, 32, 25, x.shorts, 64, (const int16_t *)weights, 25, z, 25));
  COUNT("power_weights", "25 x 25", 25 * 25,
        k->power_weights(25, 25, 1e-7f, z, 25, shares, 26));
  COUNT("int16_matmul", "25 x 26 x 32", 25 * 26 * 32,
        k->int16_matmul(25, 26, 32, shares, 26, (const int16_t *)weights, 64, z, 64));
  COUNT("gate_grid", shape, count, k->gate_grid(count, 0, y, y, z));
  COUNT("layer_norm_grid", shape, count,
        k->layer_norm_grid(25, 64, y, y, scale, bias, 0, 8, z));
  COUNT("layer_norm", shape, count, k->layer_norm(25, 64, y, y, scale, bias, z));
  COUNT("quantize", shape, count, k->quantize(25, 64, y, x.bytes, rows));
  COUNT("softmax", "25 x 25", 25 * 25, k->softmax(25, 25, 25, 0.2f, z));
  COUNT("sigmoid", shape, count, k->sigmoid(count, y));
  COUNT("tanh", shape, count, k->tanh(count, y));
}

int main(void) {
  static const char *const names[] = {"64 x 256 x 256", "25 x 64 x 64", "25 x 64 x 128",
                                      "25 x 128 x 64"};
  for (const beex_kernels *const *k = beex_available_kernels(); *k; k++) {
    implementation = (*k)->name;
    for (size_t i = 0; i < MOST_OUTPUTS; i++) scale[i] = 0.5f, bias[i] = 0.25f;
    for (size_t i = 0; i < 64; i++) rows[i].scale = 0.01f;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
      count_layers(*k, names[i], shapes[i][0], shapes[i][1], shapes[i][2]);
    }
    count_others(*k);
  }
  return 0;
}
