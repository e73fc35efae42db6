/* For each line of text: instructions up to the last exit, then those of each kind of work. The kernels
 * are called through functions that count. */
#include "beex.h"
#include "board.h"
#include "model.h"

#include <string.h>

enum { SIGNS, PRODUCTS, ATTENTION, NORMALIZATION, ELEMENTS, KINDS };

static const beex_kernels *best;
static uint64_t ticks[KINDS];

#define COUNT(kind, call)                 \
  do {                                    \
    const uint64_t before = board_ticks(); \
    call;                                 \
    ticks[kind] += board_ticks() - before; \
  } while (0)

static void pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  COUNT(SIGNS, best->pack_signs(rows, depth, x, bits));
}

static void quantize(size_t rows, size_t depth, const float *x, int8_t *q,
                     beex_quantized_row *row) {
  COUNT(SIGNS, best->quantize(rows, depth, x, q, row));
}

static void binary_linear(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                          const uint64_t *weights, const float *scale, const float *bias,
                          float *y) {
  COUNT(PRODUCTS, best->binary_linear(rows, depth, outputs, x, weights, scale, bias, y));
}

static void binary_signs(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                         const uint64_t *weights, const float *scale, const float *bias,
                         uint64_t *y) {
  COUNT(PRODUCTS, best->binary_signs(rows, depth, outputs, x, weights, scale, bias, y));
}

static void real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                        const uint64_t *weights, const float *scale, const float *bias, float *y) {
  COUNT(PRODUCTS, best->real_linear(rows, depth, outputs, x, weights, scale, bias, y));
}

static void int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                        const beex_quantized_row *row, const uint64_t *weights,
                        const float *scale, const float *bias, float *y) {
  COUNT(PRODUCTS, best->int8_linear(rows, depth, outputs, x, row, weights, scale, bias, y));
}

static void int8_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                             const beex_quantized_row *row, const int8_t *weights,
                             const float *scale, const float *bias, float *y) {
  COUNT(PRODUCTS, best->int8_int8_linear(rows, depth, outputs, x, row, weights, scale, bias, y));
}

/* With weights, which are in the model, or of attention. */
static void matmul(size_t rows, size_t depth, size_t columns, const float *a, size_t a_stride,
                   const float *b, size_t b_stride, float *c, size_t c_stride) {
  const size_t place = (size_t)((uintptr_t)b - (uintptr_t)model_data);
  COUNT(place < sizeof model_data ? PRODUCTS : ATTENTION,
        best->matmul(rows, depth, columns, a, a_stride, b, b_stride, c, c_stride));
}

static void int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                         size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                         size_t c_stride) {
  COUNT(ATTENTION,
        best->int16_matmul(rows, depth, columns, a, a_stride, b, b_stride, c, c_stride));
}

static void softmax(size_t rows, size_t count, size_t stride, float scale, float *x) {
  COUNT(ATTENTION, best->softmax(rows, count, stride, scale, x));
}

static void power_weights(size_t rows, size_t count, float scale, float *x, size_t x_stride,
                          int16_t *weights, size_t stride) {
  COUNT(ATTENTION, best->power_weights(rows, count, scale, x, x_stride, weights, stride));
}

static void to_int16(size_t count, int bits, const float *x, int16_t *q) {
  COUNT(ATTENTION, best->to_int16(count, bits, x, q));
}

static void layer_norm(size_t rows, size_t width, const float *a, const float *b,
                       const float *gamma, const float *beta, float *y) {
  COUNT(NORMALIZATION, best->layer_norm(rows, width, a, b, gamma, beta, y));
}

static void layer_norm_grid(size_t rows, size_t width, const float *a, const float *b,
                            const float *gamma, const float *beta, int input_bits,
                            int square_bits, float *y) {
  COUNT(NORMALIZATION,
        best->layer_norm_grid(rows, width, a, b, gamma, beta, input_bits, square_bits, y));
}

static void sigmoid(size_t count, float *x) { COUNT(ELEMENTS, best->sigmoid(count, x)); }
static void tangent(size_t count, float *x) { COUNT(ELEMENTS, best->tanh(count, x)); }
static void gelu(size_t count, float *x) { COUNT(ELEMENTS, best->gelu(count, x)); }

static void rational(size_t count, const beex_rational *function, float *x) {
  COUNT(ELEMENTS, best->rational(count, function, x));
}

static void to_grid(size_t count, float *x) { COUNT(ELEMENTS, best->to_grid(count, x)); }

static void gate(size_t count, int is_sigmoid, const float *g, const float *content, float *y) {
  COUNT(ELEMENTS, best->gate(count, is_sigmoid, g, content, y));
}

static void gate_grid(size_t count, int is_sigmoid, const float *g, const float *content,
                      float *y) {
  COUNT(ELEMENTS, best->gate_grid(count, is_sigmoid, g, content, y));
}

static const beex_kernels counting = {
    "counting", pack_signs, quantize, binary_linear, binary_signs, real_linear, int8_linear,
    int8_int8_linear, matmul, int16_matmul, layer_norm, layer_norm_grid, softmax, power_weights,
    sigmoid, tangent, gelu, rational, to_grid, to_int16, gate, gate_grid,
};

static beex_model model;
static beex_engine engine;
static uint64_t arena[MODEL_ARENA / sizeof(uint64_t)];
static char line[1024];

int main(void) {
  best = beex_best_kernels();
  const beex_options options = {&counting};
  if (beex_open(&model, model_data, sizeof model_data) != BEEX_OK) return 2;
  if (beex_start(&engine, &model, arena, sizeof arena, &options) != BEEX_OK) return 2;
  const beex_policy policy = {BEEX_FIXED_DEPTH, 0, (float)model.header->num_blocks};
  static int32_t ids[MODEL_LENGTH];
  size_t size = 0, count;
  for (int byte; (byte = board_read()) >= 0;) {
    if (byte != '\n' && size < sizeof line) line[size++] = (char)byte;
    if (byte != '\n') continue;
    beex_result result;
    memset(ticks, 0, sizeof ticks);
    if (beex_encode(&model, line, size, NULL, 0, 1, ids, &count) != BEEX_OK) return 2;
    board_count();
    if (beex_run(&engine, ids, count, &policy, &result) != BEEX_OK) return 2;
    const uint64_t all = board_ticks();
    board_print_number(board_instructions(all));
    for (int kind = 0; kind < KINDS; kind++) {
      board_print("\t");
      board_print_number(board_instructions(ticks[kind]));
    }
    board_print("\n");
    size = 0;
  }
  return 0;
}
