/* The forward pass: embedding, then block after block until an exit is taken.
 *
 *     x = LN(token + position + segment)                     for the real tokens only
 *     for each block
 *       x = LN(x + output(attention(query(x), key(x), value(x))))
 *       x = LN(x + gate_out(s(gate_in(x))) * content_out(t(content_in(x))))
 *       logits = mean over tokens (x) . head
 *       stop if the policy takes this exit
 *
 * s is the sigmoid, t tanh or GELU. A model may have a plain feed-forward network in place of the second.
 * In an exact model, whose activations have 8 bits, s and t are rational functions, and what is added up lies
 * on a grid: the numbers are those of Keras, to the last bit.
 * In a fully binary model every linear layer reads signs; s and t keep the sign, so the layers in front of
 * them give signs at once, and nothing else is computed. The sign of the attention's output does not depend on
 * the sum of its weights, so they are not normalized.
 */
#include "../kernels/exact.h"
#include "internal.h"

#include <string.h>

/* On a grid, queries, keys and values lie on 2^-6, so they are whole numbers of 16 bits, and scores lie on
 * 2^-12. Values of an exact model lie on 2^-4. */
#define ATTENTION_BITS 6
#define VALUE_BITS 4
#define SCORE_UNIT (1.0f / 4096)

beex_status beex_start(beex_engine *engine, const beex_model *model, void *arena, size_t size,
                       const beex_options *options) {
  if (!engine || !model || !arena) return BEEX_ERROR_ARGUMENT;
  if ((uintptr_t)arena % 8) return BEEX_ERROR_ALIGNMENT;
  const beex_header *h = model->header;
  if (!beex_lay_out(engine, h, arena, size)) return BEEX_ERROR_MEMORY;
  engine->model = model;
  engine->exits = 0;
  engine->kernels = options && options->kernels ? options->kernels : beex_best_kernels();
  return BEEX_OK;
}

/* === Linear layers of real inputs === */

/* Makes float x [rows][inputs] the input of the next linear layers. */
static void prepare(beex_engine *e, size_t rows, size_t inputs, const float *x) {
  if (e->quantized) {
    e->kernels->quantize(rows, inputs, x, e->quantized, e->quantized_rows);
  }
}

/* Beside those that a file may name. */
#define SIGMOID 2

/* What stands for tanh, GELU and sigmoid in an exact model, with errors below 7e-5, 1.2e-4 |x| and 4e-5. */
static const beex_rational rationals[] = {
    {5.2f, 0.0512717709f, 8.10221300f, 80.0058755f, 34.7270648f, 80.0230720f, 0.0f, 0},
    {3.6f, 0.10415323f, 3.62817924f, 16.62668386f, 7.96977647f, 20.85829458f, 0.0f, 1},
    {10.4f, 0.012817942725f, 8.10221300f, 320.023502f, 138.9082592f, 1280.369152f, 0.5f, 0}};

static void activate(const beex_engine *e, uint32_t activation, size_t count, float *x) {
  const beex_kernels *k = e->kernels;
  if (e->model->header->exact) {
    k->rational(count, &rationals[activation], x);
  } else {
    (activation == SIGMOID ? k->sigmoid : activation == BEEX_GELU ? k->gelu : k->tanh)(count, x);
  }
}

/* The same of x after an activation, one row after the other, which then stays in the cache. */
static void prepare_activated(beex_engine *e, uint32_t activation, size_t rows, size_t inputs,
                              float *x) {
  const size_t stride = BEEX_ROUND_UP(inputs, 4);
  for (size_t row = 0; row < rows; row++, x += inputs) {
    activate(e, activation, inputs, x);
    if (!e->quantized) continue;
    e->kernels->quantize(1, inputs, x, e->quantized + row * stride, e->quantized_rows + row);
  }
}

/* y = x . w, scaled, + bias: float [rows][inputs], which was prepared, -> [rows][outputs] */
static void linear(beex_engine *e, const beex_linear *l, size_t rows, size_t inputs,
                   size_t outputs, const float *x, float *y) {
  const beex_kernels *k = e->kernels;
  const uint32_t bits = e->model->header->weight_bits;
  if (bits == 32) {
    k->matmul(rows, inputs, outputs, x, inputs, (const float *)l->weights, outputs, y, outputs);
    for (size_t row = 0; row < rows; row++) {
      for (size_t i = 0; i < outputs; i++) y[row * outputs + i] += l->bias[i];
    }
  } else if (bits == 8) {
    k->int8_int8_linear(rows, inputs, outputs, e->quantized, e->quantized_rows,
                        (const int8_t *)l->weights, l->scale, l->bias, y);
  } else if (e->quantized) {
    k->int8_linear(rows, inputs, outputs, e->quantized, e->quantized_rows,
                   (const uint64_t *)l->weights, l->scale, l->bias, y);
  } else {
    k->real_linear(rows, inputs, outputs, x, (const uint64_t *)l->weights, l->scale, l->bias, y);
  }
}

/* === Embedding === */

/* What four bits stand for. */
#define SIGN(bits, i) ((bits) >> (i) & 1 ? -1.0f : 1.0f)
#define SIGNS(bits) {SIGN(bits, 0), SIGN(bits, 1), SIGN(bits, 2), SIGN(bits, 3)}
static const float signs[16][4] = {
    SIGNS(0), SIGNS(1), SIGNS(2),  SIGNS(3),  SIGNS(4),  SIGNS(5),  SIGNS(6),  SIGNS(7),
    SIGNS(8), SIGNS(9), SIGNS(10), SIGNS(11), SIGNS(12), SIGNS(13), SIGNS(14), SIGNS(15)};

/* Rows of the real tokens into x; returns how many there are. */
static size_t embed(beex_engine *e, const int32_t *ids, size_t count) {
  const beex_model *m = e->model;
  const beex_header *h = m->header;
  const size_t width = h->width, words = BEEX_WORDS(width);
  size_t rows = 0, segment = 0;
  for (size_t place = 0; place < count; place++) {
    const size_t id = (size_t)ids[place];
    if (id) {
      float *x = e->x + rows++ * width;
      const float *position = m->position + place * width;
      if (h->embedding_bits == 8) {
        const int8_t *row = (const int8_t *)m->table + id * width;
        for (size_t i = 0; i < width; i++) x[i] = row[i] * m->table_scale[i] + position[i];
      } else if (h->embedding_bits == 1) {
        const uint64_t *bits = (const uint64_t *)m->table + id * words;
        for (size_t i = 0; i < width; i += 4) { /* four make a vector */
          const float *sign = signs[bits[i / 64] >> i % 64 & 15], *scale = m->table_scale + i;
          for (size_t k = 0; k < 4 && i + k < width; k++) {
            x[i + k] = sign[k] * scale[k] + position[i + k];
          }
        }
      } else {
        const float *row = (const float *)m->table + id * width;
        for (size_t i = 0; i < width; i++) x[i] = row[i] + position[i];
      }
      if (m->segment) {
        for (size_t i = 0; i < width; i++) x[i] += m->segment[segment * width + i];
      }
    }
    /* The segment changes behind a separator. */
    if (id == h->separator_id && segment + 1 < h->num_segments) segment++;
  }
  if (beex_is_on_grid(h)) {
    e->kernels->layer_norm_grid(rows, width, e->x, NULL, m->gamma, m->beta, 16, h->exact ? 0 : 18,
                                e->x);
  } else {
    e->kernels->layer_norm(rows, width, e->x, NULL, m->gamma, m->beta, e->x);
  }
  return rows;
}

/* x = LN(x + y) for n tokens. */
static void add_and_normalize(const beex_engine *e, size_t n, float *x, const float *y,
                              const float *gamma, const float *beta) {
  const beex_header *h = e->model->header;
  if (beex_is_on_grid(h)) {
    e->kernels->layer_norm_grid(n, h->width, x, y, gamma, beta, 0, h->exact ? 0 : 8, x);
  } else {
    e->kernels->layer_norm(n, h->width, x, y, gamma, beta, x);
  }
}

/* === Attention, of real numbers ===
 *
 * Keys stand in columns, as the product with a query reads them.
 */

/* Keys and values of n tokens, the first of which is `row` of `rows`. */
static void remember(beex_engine *e, const beex_block *b, size_t row, size_t n, size_t rows) {
  const size_t width = e->model->header->width, stride = BEEX_ROUND_UP(rows, 16);
  const float *x = e->x + row * width;
  prepare(e, n, width, x);
  linear(e, &b->value, n, width, width, x, e->value + row * width);
  linear(e, &b->key, n, width, width, x, e->first);
  for (size_t i = 0; i < width; i++) {
    for (size_t r = 0; r < n; r++) e->key[i * stride + row + r] = e->first[r * width + i];
  }
}

/* x = LN(x + MHA(x)) for n tokens, the first of which is `row` of `rows`. */
static void attend(beex_engine *e, const beex_block *b, size_t row, size_t n, size_t rows) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width, depth = width / h->num_heads, stride = BEEX_ROUND_UP(rows, 16);
  float *x = e->x + row * width;
  prepare(e, n, width, x);
  linear(e, &b->query, n, width, width, x, e->first);
  for (size_t head = 0; head < width; head += depth) {
    float *query = e->first + head;
    k->matmul(n, depth, rows, query, width, e->key + head * stride, stride, e->scores, stride);
    k->softmax(n, rows, stride, h->attention_scale, e->scores);
    k->matmul(n, rows, depth, e->scores, stride, e->value + head, width, query, width);
  }
  prepare(e, n, width, e->first);
  linear(e, &b->output, n, width, width, e->first, e->second);
  add_and_normalize(e, n, x, e->second, b->attention_gamma, b->attention_beta);
}

/* === Attention on a grid ===
 *
 * Whole numbers of 16 bits, in pairs: keys by channels, [D / 2][T][2], values by tokens, [T / 2][D][2].
 * A head of odd depth gets a channel of zeros.
 */

static void sign_linear(beex_engine *e, const beex_linear *l, size_t rows, size_t inputs,
                          size_t outputs, const uint64_t *x, float *y) {
  e->kernels->binary_linear(rows, inputs, outputs, x, (const uint64_t *)l->weights, l->scale, l->bias,
                            y);
}

/* y = x . w, scaled, + bias for n tokens from `row`, whose signs are packed or whose x was prepared. */
static void project(beex_engine *e, const beex_linear *l, size_t row, size_t n, float *y) {
  const size_t width = e->model->header->width;
  if (e->bits) {
    sign_linear(e, l, n, width, width, e->bits + row * BEEX_WORDS(width), y);
  } else {
    linear(e, l, n, width, width, e->x + row * width, y);
  }
}

/* n rows of e->first as whole numbers, heads in pairs, to e->query_pairs. */
static void to_pairs(beex_engine *e, size_t n) {
  const beex_header *h = e->model->header;
  const size_t depth = h->width / h->num_heads;
  if (depth % 2 == 0) {
    e->kernels->to_int16(n * h->width, ATTENTION_BITS, e->first, e->query_pairs);
    return;
  }
  for (size_t head = 0; head < n * h->num_heads; head++) {
    int16_t *pairs = e->query_pairs + head * (depth + 1);
    e->kernels->to_int16(depth, ATTENTION_BITS, e->first + head * depth, pairs);
    pairs[depth] = 0;
  }
}

static void remember_on_grid(beex_engine *e, const beex_block *b, size_t row, size_t n,
                             size_t rows) {
  const beex_header *h = e->model->header;
  const size_t width = h->width, channels = h->num_heads * (size_t)beex_even_depth(h);
  if (!e->bits) prepare(e, n, width, e->x + row * width);
  project(e, &b->key, row, n, e->first);
  to_pairs(e, n);
  for (size_t i = 0; i < channels; i += 2) {
    int16_t *pair = e->key_pairs + i * rows + 2 * row;
    for (size_t r = 0; r < n; r++, pair += 2) {
      pair[0] = e->query_pairs[r * channels + i];
      pair[1] = e->query_pairs[r * channels + i + 1];
    }
  }
  project(e, &b->value, row, n, e->first);
  e->kernels->to_int16(n * width, e->bits ? ATTENTION_BITS : VALUE_BITS, e->first, e->query_pairs);
  for (size_t r = 0; r < n; r++) {
    const int16_t *value = e->query_pairs + r * width;
    int16_t *pair = e->value_pairs + (row + r) / 2 * 2 * width + (row + r) % 2;
    for (size_t i = 0; i < width; i++) pair[2 * i] = value[i];
  }
}

/* Divides n sums of values by those of their weights; both were whole numbers. */
static void divide(size_t n, size_t pairs, size_t depth, size_t width, const int16_t *shares,
                   float *y) {
  for (size_t row = 0; row < n; row++, y += width, shares += pairs) {
    int32_t total = 0;
    for (size_t i = 0; i < pairs; i++) total += shares[i];
    const float whole = (float)total * (1 << VALUE_BITS);
    for (size_t i = 0; i < depth; i++) y[i] /= whole;
  }
}

static void attend_on_grid(beex_engine *e, const beex_block *b, size_t row, size_t n,
                           size_t rows) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width, depth = width / h->num_heads, even = (size_t)beex_even_depth(h);
  const size_t channels = h->num_heads * even, pairs = BEEX_ROUND_UP(rows, 2);
  float *x = e->x + row * width;
  if (!e->bits) prepare(e, n, width, x);
  project(e, &b->query, row, n, e->first);
  to_pairs(e, n);
  for (size_t head = 0; head < h->num_heads; head++) {
    k->int16_matmul(n, even, rows, e->query_pairs + head * even, channels,
                    e->key_pairs + head * even * rows, rows, e->scores, rows);
    k->power_weights(n, rows, h->attention_scale * SCORE_UNIT, e->scores, rows, e->shares, pairs);
    k->int16_matmul(n, pairs, depth, e->shares, pairs, e->value_pairs + 2 * head * depth, width,
                    e->first + head * depth, width);
    if (!e->bits) divide(n, pairs, depth, width, e->shares, e->first + head * depth);
  }
  if (e->bits) {
    uint64_t *bits = e->bits + row * BEEX_WORDS(width);
    k->pack_signs(n, width, e->first, bits);
    sign_linear(e, &b->output, n, width, width, bits, e->second);
  } else {
    prepare(e, n, width, e->first);
    linear(e, &b->output, n, width, width, e->first, e->second);
    k->to_grid(n * width, e->second);
  }
  add_and_normalize(e, n, x, e->second, b->attention_gamma, b->attention_beta);
}

/* === Selective Learn-Forget Network === */

/* From n rows of x through the hidden channels and their activation. */
static void through_hidden(beex_engine *e, const beex_linear *in, const beex_linear *out,
                           size_t hidden, uint32_t activation, size_t n, const float *x, float *y) {
  const size_t width = e->model->header->width;
  prepare(e, n, width, x);
  linear(e, in, n, width, hidden, x, e->hidden);
  prepare_activated(e, activation, n, hidden, e->hidden);
  linear(e, out, n, hidden, width, e->hidden, y);
}

/* x = LN(x + gate * content) for n tokens from `row`. */
static void slfn(beex_engine *e, const beex_block *b, size_t row, size_t n) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width;
  float *x = e->x + row * width;
  through_hidden(e, &b->gate_in, &b->gate_out, h->gate_width, SIGMOID, n, x, e->first);
  through_hidden(e, &b->content_in, &b->content_out, h->hidden_width, h->content_activation, n, x,
                 e->second);
  if (h->exact) {
    if (h->sigmoid_gate) activate(e, SIGMOID, n * width, e->first);
    k->gate_grid(n * width, 0, e->first, e->second, e->first);
  } else {
    k->gate(n * width, h->sigmoid_gate != 0, e->first, e->second, e->first);
  }
  add_and_normalize(e, n, x, e->first, b->network_gamma, b->network_beta);
}

/* From the signs of x through those of the hidden channels. */
static void hidden_signs(beex_engine *e, const beex_linear *in, const beex_linear *out,
                         size_t hidden, size_t n, const uint64_t *bits, float *y) {
  const size_t width = e->model->header->width;
  e->kernels->binary_signs(n, width, hidden, bits, (const uint64_t *)in->weights, in->scale, in->bias,
                           e->hidden_bits);
  sign_linear(e, out, n, hidden, width, e->hidden_bits, y);
}

static void slfn_binary(beex_engine *e, const beex_block *b, size_t row, size_t n) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width;
  float *x = e->x + row * width;
  uint64_t *bits = e->bits + row * BEEX_WORDS(width);
  k->pack_signs(n, width, x, bits);
  hidden_signs(e, &b->gate_in, &b->gate_out, h->gate_width, n, bits, e->first);
  hidden_signs(e, &b->content_in, &b->content_out, h->hidden_width, n, bits, e->second);
  k->gate_grid(n * width, h->sigmoid_gate != 0, e->first, e->second, e->first);
  add_and_normalize(e, n, x, e->first, b->network_gamma, b->network_beta);
}

/* === Feed-forward network === */

/* x = LN(x + down(gelu(up(x)))) for n tokens from `row`. */
static void ffn(beex_engine *e, const beex_block *b, size_t row, size_t n) {
  const beex_header *h = e->model->header;
  float *x = e->x + row * h->width;
  through_hidden(e, &b->up, &b->down, (size_t)beex_hidden_channels(h), BEEX_GELU, n, x, e->first);
  if (h->exact) e->kernels->to_grid(n * h->width, e->first);
  add_and_normalize(e, n, x, e->first, b->network_gamma, b->network_beta);
}

/* Here the signs of up(x) take the place of the GELU. */
static void ffn_binary(beex_engine *e, const beex_block *b, size_t row, size_t n) {
  const size_t width = e->model->header->width;
  float *x = e->x + row * width;
  uint64_t *bits = e->bits + row * BEEX_WORDS(width);
  const size_t hidden = (size_t)beex_hidden_channels(e->model->header);
  e->kernels->pack_signs(n, width, x, bits);
  hidden_signs(e, &b->up, &b->down, hidden, n, bits, e->first);
  add_and_normalize(e, n, x, e->first, b->network_gamma, b->network_beta);
}

/* === Block === */

/* A few tokens at a time, in place: of the others the attention needs keys and values alone. */
static void run_block(beex_engine *e, const beex_block *b, size_t rows) {
  const size_t width = e->model->header->width, step = e->rows;
  const beex_header *h = e->model->header;
  const int binary = h->activation_bits == 1, on_grid = beex_is_on_grid(h);
  const int is_ffn = h->network == BEEX_FFN;
  if (binary) e->kernels->pack_signs(rows, width, e->x, e->bits);
  if (on_grid && rows % 2) {
    memset(e->value_pairs + rows / 2 * 2 * width, 0, 2 * width * sizeof(int16_t));
  }
  for (size_t row = 0; row < rows; row += step) {
    (on_grid ? remember_on_grid : remember)(e, b, row, rows - row < step ? rows - row : step, rows);
  }
  for (size_t row = 0; row < rows; row += step) {
    const size_t n = rows - row < step ? rows - row : step;
    (on_grid ? attend_on_grid : attend)(e, b, row, n, rows);
    if (is_ffn) {
      (binary ? ffn_binary : ffn)(e, b, row, n);
    } else {
      (binary ? slfn_binary : slfn)(e, b, row, n);
    }
  }
}

/* === Exits === */

/* The mean of the tokens times the head; without any token the bias alone. */
static void exit_head(beex_engine *e, const beex_block *b, size_t rows, float *logits) {
  const beex_header *h = e->model->header;
  const size_t width = h->width, classes = h->num_classes;
  const float count = (float)(rows ? rows : 1);
  memset(e->pooled, 0, width * sizeof *e->pooled);
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < width; i++) e->pooled[i] += e->x[row * width + i];
  }
  for (size_t i = 0; i < width; i++) e->pooled[i] /= count;
  e->kernels->matmul(1, width, classes, e->pooled, width, b->head_weights, classes, logits,
                     classes);
  for (size_t c = 0; c < classes; c++) logits[c] += b->head_bias[c];
}

/* What the one logit of a model that answers a number says. */
static float number(const beex_header *h, float logit) {
  const float value = h->value_offset + h->value_scale * logit;
  return value < h->value_least ? h->value_least : value > h->value_most ? h->value_most : value;
}

beex_status beex_run(beex_engine *e, const int32_t *ids, size_t count, const beex_policy *policy,
                     beex_result *result) {
  if (!e || (!ids && count) || !result) return BEEX_ERROR_ARGUMENT;
  const beex_header *h = e->model->header;
  const size_t classes = h->num_classes;
  if (!policy) policy = &h->policy;
  const uint32_t last = h->task == BEEX_NUMBER ? BEEX_CHANGE : BEEX_FIXED_DEPTH;
  if (policy->kind > last || policy->threshold != policy->threshold) {
    return BEEX_ERROR_POLICY;
  }
  if (count > h->length) return BEEX_ERROR_TOKENS;
  for (size_t i = 0; i < count; i++) {
    if (ids[i] < 0 || (uint32_t)ids[i] >= h->vocabulary_size) return BEEX_ERROR_TOKENS;
  }
  const size_t rows = embed(e, ids, count);
  beex_exit_state state;
  beex_exit_begin(&state, classes);
  for (size_t index = 0; index < h->num_blocks; index++) {
    const beex_block block = beex_block_at(e->model, index);
    float *logits = e->logits + index * classes;
    run_block(e, &block, rows);
    exit_head(e, &block, rows, logits);
    if (beex_exit_taken(policy, &state, index, logits, classes) || index + 1 == h->num_blocks) {
      result->exit = e->exits = index + 1;
      result->truncated = 0;
      beex_best_class(logits, classes, &result->label, &result->score);
      result->value = h->task == BEEX_NUMBER ? number(h, logits[0]) : 0;
      break;
    }
  }
  return BEEX_OK;
}

beex_status beex_exits(const beex_engine *e, float *values, size_t size, size_t *exits) {
  if (!e || !values || !exits) return BEEX_ERROR_ARGUMENT;
  const beex_header *h = e->model->header;
  const size_t classes = h->num_classes;
  *exits = e->exits;
  if (size / classes < e->exits) return BEEX_ERROR_MEMORY;
  for (size_t index = 0; index < e->exits; index++) {
    const float *logits = e->logits + index * classes;
    if (h->task == BEEX_NUMBER) {
      values[index] = number(h, *logits);
    } else {
      beex_softmax(logits, classes, values + index * classes);
    }
  }
  return BEEX_OK;
}

beex_status beex_classify(beex_engine *engine, const char *text, size_t text_size,
                          const char *pair, size_t pair_size, beex_result *result) {
  size_t count, all;
  if (!engine || !result) return BEEX_ERROR_ARGUMENT;
  beex_status status = beex_encode_all(engine->model, text, text_size, pair, pair_size, 1,
                                       engine->ids, &count, &all);
  if (status == BEEX_OK) status = beex_run(engine, engine->ids, count, NULL, result);
  if (status == BEEX_OK) result->truncated = all > count;
  return status;
}
