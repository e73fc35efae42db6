/* The forward pass: embedding, then block after block until an exit is taken.
 *
 *     x = LN(token + position + segment)                     for the real tokens only
 *     for each block
 *       x = LN(x + output(attention(query(x), key(x), value(x))))
 *       x = LN(x + gate_out(s(gate_in(x))) * content_out(t(content_in(x))))
 *       logits = mean over tokens (x) . head
 *       stop if the policy takes this exit
 *
 * s and t are sigmoid and tanh. In a fully binary model every linear layer reads signs; s and t keep the
 * sign, so the layers in front of them give signs at once, and nothing else is computed. The sign of the
 * attention's output does not depend on the sum of its weights, so they are not normalized.
 */
#include "internal.h"

#include <string.h>

/* Rows that the SLFN and the attention take at a time. */
#define ROWS 32

#define ATTENTION_BITS 6 /* queries, keys and values lie on 2^-6 in a fully binary model */

/* === Memory === */

/* Parts that only one kind of model needs are null in the others. */
static void lay_out(beex_engine *e, const beex_header *h, beex_cursor *cursor) {
  const uint64_t length = h->length, width = h->width, hidden = h->hidden_width;
  const uint64_t keys = BEEX_ROUND_UP(length, 16), depth = width / h->num_heads;
  const uint64_t words = BEEX_CEIL_DIV(width, 64), hidden_words = BEEX_CEIL_DIV(hidden, 64);
  const int binary = h->activation_bits == 1, quantizes = h->weight_bits == 1 && !binary;
  const uint64_t plane = length * width * sizeof(float);
  const uint64_t widest = length * width > ROWS * hidden ? length * width : ROWS * hidden;
  const uint64_t most_rows = length > ROWS ? length : ROWS;
  e->x = beex_take(cursor, plane);
  e->query = beex_take(cursor, plane);
  e->key = beex_take(cursor, plane);
  e->value = beex_take(cursor, plane);
  e->key_columns = beex_take(cursor, depth * keys * sizeof(float));
  e->scores = beex_take(cursor, ROWS * keys * sizeof(float));
  e->gate = beex_take(cursor, ROWS * width * sizeof(float));
  e->content = beex_take(cursor, ROWS * width * sizeof(float));
  e->gate_hidden = e->content_hidden = NULL;
  e->bits = e->gate_bits = e->content_bits = NULL;
  e->quantized = NULL;
  e->quantized_rows = NULL;
  if (binary) {
    e->bits = beex_take(cursor, length * words * sizeof(uint64_t));
    e->gate_bits = beex_take(cursor, ROWS * hidden_words * sizeof(uint64_t));
    e->content_bits = beex_take(cursor, ROWS * hidden_words * sizeof(uint64_t));
  } else {
    e->gate_hidden = beex_take(cursor, ROWS * hidden * sizeof(float));
    e->content_hidden = beex_take(cursor, ROWS * hidden * sizeof(float));
  }
  if (quantizes) {
    e->quantized = beex_take(cursor, widest + 4 * most_rows);
    e->quantized_rows = beex_take(cursor, most_rows * sizeof(beex_quantized_row));
  }
  e->pooled = beex_take(cursor, width * sizeof(float));
  e->logits = beex_take(cursor, (uint64_t)h->num_blocks * h->num_classes * sizeof(float));
  e->ids = beex_take(cursor, length * sizeof(int32_t));
}

size_t beex_arena_size(const beex_model *model) {
  beex_engine unused;
  beex_cursor counter = {NULL, 0};
  lay_out(&unused, model->header, &counter);
  return counter.offset > SIZE_MAX ? SIZE_MAX : (size_t)counter.offset;
}

beex_status beex_start(beex_engine *engine, const beex_model *model, void *arena,
                       size_t arena_size, const beex_options *options) {
  if ((uintptr_t)arena % 8) return BEEX_ERROR_ALIGNMENT;
  if (arena_size < beex_arena_size(model)) return BEEX_ERROR_MEMORY;
  const beex_header *h = model->header;
  beex_cursor cursor = {arena, 0};
  lay_out(engine, h, &cursor);
  engine->model = model;
  engine->kernels = options && options->kernels ? options->kernels : beex_best_kernels();
  engine->int8_activations =
      options && options->int8_activations && h->weight_bits == 1 && h->activation_bits == 32;
  return BEEX_OK;
}

/* === Linear layers of real inputs === */

/* Linear layers that read the same x: float [rows][inputs]. */
typedef struct {
  const beex_linear *linear;
  float *y; /* [rows][outputs] */
} layer_output;

static void linear_layers(beex_engine *e, size_t rows, size_t inputs, size_t outputs,
                          const float *x, const layer_output *results, size_t count) {
  const beex_kernels *k = e->kernels;
  if (e->int8_activations) k->quantize(rows, inputs, x, e->quantized, e->quantized_rows);
  for (const layer_output *result = results; result < results + count; result++) {
    const beex_linear *l = result->linear;
    if (!l->scale) {
      k->matmul(rows, inputs, outputs, x, inputs, l->weights, outputs, result->y, outputs);
      for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < outputs; i++) result->y[row * outputs + i] += l->bias[i];
      }
    } else if (e->int8_activations) {
      k->int8_linear(rows, inputs, outputs, e->quantized, e->quantized_rows, l->weights, l->scale,
                     l->bias, result->y);
    } else {
      k->real_linear(rows, inputs, outputs, x, l->weights, l->scale, l->bias, result->y);
    }
  }
}

/* === Embedding === */

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
      if (m->table_scale) {
        const uint64_t *bits = (const uint64_t *)m->table + id * words;
        for (size_t i = 0; i < width; i++) {
          const float scale = m->table_scale[i];
          x[i] = (bits[i / 64] >> i % 64 & 1 ? -scale : scale) + position[i];
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
  if (h->activation_bits == 1) {
    e->kernels->layer_norm_grid(rows, width, e->x, NULL, m->gamma, m->beta, 16, 18, e->x);
  } else {
    e->kernels->layer_norm(rows, width, e->x, NULL, m->gamma, m->beta, e->x);
  }
  return rows;
}

/* === Attention === */

/* softmax(Q K^T scale) V of every head, over the queries in place. */
static void attend(beex_engine *e, size_t rows) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width, depth = width / h->num_heads, stride = BEEX_ROUND_UP(rows, 16);
  for (size_t head = 0; head < width; head += depth) {
    for (size_t row = 0; row < rows; row++) {
      const float *key = e->key + row * width + head;
      for (size_t i = 0; i < depth; i++) e->key_columns[i * stride + row] = key[i];
    }
    for (size_t row = 0; row < rows; row += ROWS) {
      const size_t n = rows - row < ROWS ? rows - row : ROWS;
      float *query = e->query + row * width + head;
      k->matmul(n, depth, rows, query, width, e->key_columns, stride, e->scores, stride);
      if (h->activation_bits == 1) {
        k->power_weights(n, rows, stride, h->attention_scale, e->scores);
      } else {
        k->softmax(n, rows, stride, h->attention_scale, e->scores);
      }
      k->matmul(n, rows, depth, e->scores, stride, e->value + head, width, query, width);
    }
  }
}

/* x = LN(x + MHA(x)) */
static void attention(beex_engine *e, const beex_block *b, size_t rows) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width;
  const layer_output projections[3] = {{&b->query, e->query}, {&b->key, e->key}, {&b->value, e->value}};
  if (h->activation_bits == 1) {
    k->pack_signs(rows, width, e->x, e->bits);
    for (int i = 0; i < 3; i++) {
      const beex_linear *l = projections[i].linear;
      k->binary_linear(rows, width, width, e->bits, l->weights, l->scale, l->bias,
                       projections[i].y);
      k->round_to_grid(rows * width, ATTENTION_BITS, projections[i].y);
    }
    attend(e, rows);
    k->pack_signs(rows, width, e->query, e->bits);
    k->binary_linear(rows, width, width, e->bits, b->output.weights, b->output.scale,
                     b->output.bias, e->key);
    k->layer_norm_grid(rows, width, e->x, e->key, b->attention_gamma, b->attention_beta, 0, 8,
                       e->x);
  } else {
    linear_layers(e, rows, width, width, e->x, projections, 3);
    attend(e, rows);
    const layer_output result = {&b->output, e->key};
    linear_layers(e, rows, width, width, e->query, &result, 1);
    k->layer_norm(rows, width, e->x, e->key, b->attention_gamma, b->attention_beta, e->x);
  }
}

/* === Selective Learn-Forget Network === */

/* x = LN(x + gate * content), for at most ROWS rows of x */
static void slfn(beex_engine *e, const beex_block *b, size_t rows, float *x) {
  const beex_header *h = e->model->header;
  const beex_kernels *k = e->kernels;
  const size_t width = h->width, hidden = h->hidden_width;
  const int sigmoid = h->sigmoid_gate != 0;
  const layer_output outputs[2] = {{&b->gate_out, e->gate}, {&b->content_out, e->content}};
  if (h->activation_bits == 1) {
    const beex_linear *in[2] = {&b->gate_in, &b->content_in};
    uint64_t *signs[2] = {e->gate_bits, e->content_bits};
    k->pack_signs(rows, width, x, e->bits);
    for (int i = 0; i < 2; i++) {
      const beex_linear *out = outputs[i].linear;
      k->binary_signs(rows, width, hidden, e->bits, in[i]->weights, in[i]->scale, in[i]->bias,
                      signs[i]);
      k->binary_linear(rows, hidden, width, signs[i], out->weights, out->scale, out->bias,
                       outputs[i].y);
    }
    k->gate_grid(rows * width, sigmoid, e->gate, e->content, e->gate);
    k->layer_norm_grid(rows, width, x, e->gate, b->slfn_gamma, b->slfn_beta, 0, 8, x);
  } else {
    const layer_output inputs[2] = {{&b->gate_in, e->gate_hidden}, {&b->content_in, e->content_hidden}};
    linear_layers(e, rows, width, hidden, x, inputs, 2);
    k->sigmoid(rows * hidden, e->gate_hidden);
    k->tanh(rows * hidden, e->content_hidden);
    linear_layers(e, rows, hidden, width, e->gate_hidden, &outputs[0], 1);
    linear_layers(e, rows, hidden, width, e->content_hidden, &outputs[1], 1);
    k->gate(rows * width, sigmoid, e->gate, e->content, e->gate);
    k->layer_norm(rows, width, x, e->gate, b->slfn_gamma, b->slfn_beta, x);
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

beex_status beex_run(beex_engine *e, const int32_t *ids, size_t count, const beex_policy *policy,
                     beex_result *result) {
  const beex_header *h = e->model->header;
  const size_t classes = h->num_classes, width = h->width;
  if (!policy) policy = &h->policy;
  if (policy->kind > BEEX_FIXED_DEPTH) return BEEX_ERROR_POLICY;
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
    attention(e, &block, rows);
    for (size_t row = 0; row < rows; row += ROWS) {
      slfn(e, &block, rows - row < ROWS ? rows - row : ROWS, e->x + row * width);
    }
    exit_head(e, &block, rows, logits);
    if (beex_exit_taken(policy, &state, index, logits, classes) || index + 1 == h->num_blocks) {
      result->exit = index + 1;
      beex_best_class(logits, classes, &result->label, &result->score);
      break;
    }
  }
  return BEEX_OK;
}

beex_status beex_classify(beex_engine *engine, const char *text, size_t text_size,
                          const char *pair, size_t pair_size, beex_result *result) {
  size_t count;
  const beex_status status = beex_encode(engine->model, text, text_size, pair, pair_size, 1,
                                         engine->ids, &count);
  if (status != BEEX_OK) return status;
  return beex_run(engine, engine->ids, count, NULL, result);
}
