/* BEExformer engine: raw text in, label out, leaving at the first exit that is good enough.
 *
 *     beex_model model;
 *     beex_engine engine;
 *     beex_result result;
 *     beex_open(&model, data, size);                     data: a .beex file, 8-byte aligned
 *     void *arena = ...;                                 beex_arena_size(&model) bytes
 *     beex_start(&engine, &model, arena, arena_size, NULL);
 *     beex_classify(&engine, text, strlen(text), NULL, 0, &result);
 *     puts(beex_label(&model, result.label));
 *
 * C99 and its library, no allocation, no global state. Every function that can fail returns a status, and
 * leaves outputs unspecified unless it is BEEX_OK.
 *
 * Lifetimes. All memory is the caller's, and nothing is copied: the data stay in place, unchanged, while
 * the model is used; the model and the arena while an engine on them is. What beex_label, beex_block_at and
 * the model's members point to is the data; what an engine's members point to is its arena, which the
 * next run writes anew. Nothing is closed: memory that is not used any more may be freed.
 *
 * Threads. A model is only read, so threads may share it. An engine works for one thread at a time: each
 * thread has an engine with an arena of its own. All other functions may be called at any time.
 *
 * Letters in the comments on shapes: T tokens, D width, F hidden width, G gate's width, H heads, N blocks,
 * C classes.
 */
#ifndef BEEX_H
#define BEEX_H

#include <stddef.h>
#include <stdint.h>

/* Structures are part of the interface: versions with other first two numbers may differ in them. */
#define BEEX_VERSION "0.2.0"
#define BEEX_VERSION_MAJOR 0
#define BEEX_VERSION_MINOR 2
#define BEEX_VERSION_PATCH 0

/* Before every function of a shared library's interface. Built with -fvisibility=hidden, it has no others;
 * a compiler that is told otherwise gets -DBEEX_API=..., that of a Windows DLL __declspec(dllexport). */
#ifndef BEEX_API
#ifdef __GNUC__
#define BEEX_API __attribute__((visibility("default")))
#else
#define BEEX_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  BEEX_OK = 0,
  BEEX_ERROR_FORMAT,    /* not a model file of this version, or cut short */
  BEEX_ERROR_CHECKSUM,  /* the file is damaged */
  BEEX_ERROR_CONTENT,   /* the file contradicts itself */
  BEEX_ERROR_ALIGNMENT, /* the data or the arena is not aligned to 8 bytes */
  BEEX_ERROR_PLATFORM,  /* a big-endian machine */
  BEEX_ERROR_MEMORY,    /* the arena, or other memory of the caller's, is too small */
  BEEX_ERROR_POLICY,    /* there is no such exit policy */
  BEEX_ERROR_TOKENS,    /* more tokens than the model reads, or one outside its vocabulary */
  BEEX_ERROR_LENGTH,    /* the text has more tokens than the model reads */
  BEEX_ERROR_TEXT,      /* the text is not valid UTF-8 */
  BEEX_ERROR_VOCABULARY, /* the model came without a vocabulary: it reads token ids */
  BEEX_ERROR_WEIGHTS,    /* one is not finite or out of range, or padding is not 0 */
  BEEX_ERROR_ARGUMENT,   /* a pointer is null that must not be */
  BEEX_ERROR_PAIR,       /* a pair of texts, and the model reads single texts */
  BEEX_ERROR_SINGLE,     /* one text, and the model reads pairs */
  BEEX_ERROR_INEXACT     /* this build or machine does not compute as the engine is defined to */
} beex_status;

/* One English sentence without a full stop. */
BEEX_API const char *beex_status_message(beex_status status);

/* === Model === */

typedef enum {
  BEEX_FRACTIONAL_ENTROPY,
  BEEX_ENTROPY,
  BEEX_CONFIDENCE,
  BEEX_PATIENCE,
  BEEX_FIXED_DEPTH,
  BEEX_CHANGE /* of a number, at this exit and the ones before it */
} beex_policy_kind;

/* An exit is taken where its score is below the threshold, or, unless `below`, not below it. */
typedef struct {
  uint32_t kind; /* beex_policy_kind */
  uint32_t below;
  float threshold;
} beex_policy;

/* What stands behind the attention: the Selective Learn-Forget Network, or a plain feed-forward network of
 * 2 F hidden channels. */
typedef enum { BEEX_SLFN, BEEX_FFN } beex_network;

/* What a model answers: the most probable of its classes, or a number. */
typedef enum { BEEX_CLASSES, BEEX_NUMBER } beex_task;

/* Of the hidden channels of an SLFN's content, unless they are signs. */
typedef enum { BEEX_TANH, BEEX_GELU } beex_activation;

/* The first bytes of a file; docs/beex_format.md describes it. */
typedef struct {
  char magic[4];     /* "BEEX" */
  uint32_t version;  /* BEEX_FORMAT_VERSION */
  uint32_t size;     /* bytes of the file */
  uint32_t checksum; /* CRC-32 of all that follows */
  uint32_t arena_size;
  uint32_t vocabulary_size;
  uint32_t length; /* the most tokens it reads */
  uint32_t num_segments;
  uint32_t separator_id;
  uint32_t width;
  uint32_t num_heads;
  uint32_t hidden_width;
  uint32_t network; /* beex_network */
  uint32_t num_blocks;
  uint32_t num_classes;
  uint32_t weight_bits;     /* 1, 8 or 32 */
  uint32_t activation_bits; /* 1, 8 or 32 */
  uint32_t embedding_bits;  /* 1, 8 or 32 */
  uint32_t sigmoid_gate;    /* 0 or 1 */
  float attention_scale;
  beex_policy policy;
  uint32_t has_vocabulary; /* 0 or 1; the next four are 0 without */
  uint32_t lower_case;     /* 0 or 1 */
  uint32_t unknown_id;
  uint32_t classification_id;
  uint32_t text_length; /* the most tokens of a text, special ones included */
  uint32_t weights;     /* where these begin */
  uint32_t labels, labels_size;
  uint32_t words, words_size;   /* pieces that begin a word */
  uint32_t pieces, pieces_size; /* pieces that go on with one */
  uint32_t metadata, metadata_size;
  uint32_t content_activation; /* beex_activation */
  uint32_t gate_width;         /* of an SLFN, whose content has hidden_width; or 0 */
  uint32_t task;               /* beex_task; the next four are 0 for classes */
  float value_offset, value_scale;  /* a number is offset + scale * logit, */
  float value_least, value_most;    /* and no less or more than these */
  uint32_t exact;              /* 1: 8-bit activations with numbers on a grid, as Keras has them; or 0 */
  uint32_t reserved[19];       /* 0 */
} beex_header;

#define BEEX_FORMAT_VERSION 4

typedef struct {
  const void *weights; /* packed bits or int8, or float [inputs][outputs]; inputs and outputs are D and D,
                        * D and F, or F and D, and in the gate D and G, or G and D */
  const float *scale;  /* [outputs], padded; null for float weights */
  const float *bias;   /* [outputs], padded */
} beex_linear;

typedef struct {
  beex_linear query, key, value, output;
  const float *attention_gamma, *attention_beta; /* [D] */
  beex_linear gate_in, content_in;               /* D -> G, D -> F; of an SLFN */
  beex_linear gate_out, content_out;             /* G -> D, F -> D */
  beex_linear up, down;                          /* D -> 2 F -> D; of a feed-forward network */
  const float *network_gamma, *network_beta;     /* [D] */
  const float *head_weights;                     /* [D][C] */
  const float *head_bias;                        /* [C] */
} beex_block;

/* Views of the file's data; beex_open fills them in. */
typedef struct {
  const beex_header *header;
  const void *table;        /* [vocabulary][words of D] bits, int8 or float [vocabulary][D] */
  const float *table_scale; /* [D], null for a float table */
  const float *position;    /* [length][D] */
  const float *segment;     /* [num_segments][D], null for single texts */
  const float *gamma, *beta; /* [D] */
  const unsigned char *blocks; /* N of the same size */
  size_t block_size;
} beex_model;

/* Checks a whole file, and finds its parts. */
BEEX_API beex_status beex_open(beex_model *model, const void *data, size_t size);

/* Bytes that beex_start needs; the header's arena_size is the same number. */
BEEX_API size_t beex_arena_size(const beex_model *model);

/* Bytes of which an engine makes use: it then takes more tokens at a time, so that weights are read less
 * often. The results are the same. */
BEEX_API size_t beex_best_arena_size(const beex_model *model);

/* The name of a class, or "" if there is none of that number. */
BEEX_API const char *beex_label(const beex_model *model, size_t label);

/* The weights of block `index` < N. */
BEEX_API beex_block beex_block_at(const beex_model *model, size_t index);

/* === Text === */

/* Token ids of a text, or of a pair where `pair` is not null: [CLS] a [SEP] or [CLS] a [SEP] b [SEP]. A
 * model of pairs, which has segments, reads nothing else, and no other model reads one.
 *
 * ids has room for the model's text_length. A longer text is cut as beex_keras.text cuts it, if
 * `truncate`, or else BEEX_ERROR_LENGTH; *count is then what it would have. */
BEEX_API beex_status beex_encode(const beex_model *model, const char *text, size_t text_size,
                                 const char *pair, size_t pair_size, int truncate, int32_t *ids,
                                 size_t *count);

/* === Kernels === */

/* The arithmetic, for one instruction set. All give the same results to the last bit, so only a
 * measurement or a test has a reason to choose. kernels/kernels.h describes them. */
struct beex_kernels;

/* Those that were compiled in and that this machine can run, slowest first, up to a null pointer. */
BEEX_API const struct beex_kernels *const *beex_available_kernels(void);

/* The last of them. */
BEEX_API const struct beex_kernels *beex_best_kernels(void);

/* "portable", "avx2", "avx512", "avx512vbmi", "neon", "neondot", "cortexm", "mve" or
 * "wasm". */
BEEX_API const char *beex_kernels_name(const struct beex_kernels *kernels);

/* The available ones of such a name, or null. */
BEEX_API const struct beex_kernels *beex_find_kernels(const char *name);

/* === Engine === */

typedef struct {
  const struct beex_kernels *kernels; /* null: the best for this machine */
} beex_options;

typedef struct {
  size_t exit;  /* counted from 1 */
  size_t label; /* the most probable class */
  float score;  /* its probability */
  float value;  /* of a model that answers a number; its label is 0 and its score 1 */
  int truncated; /* 1 if beex_classify cut the text to as many tokens as the model reads, else 0 */
} beex_result;

typedef struct {
  const beex_model *model;
  const struct beex_kernels *kernels;
  size_t rows; /* R, the tokens that it takes at a time: as many as the arena has room for */
  /* In the arena. */
  float *x;              /* [T][D] */
  float *key, *value;    /* [D][T rounded up to 16], [T][D] */
  float *first, *second; /* [R][D], results of linear layers */
  float *scores;         /* [R][T rounded up to 16], of one head */
  float *hidden;         /* [R][hidden channels], the larger of F and G, or 2 F */
  int8_t *quantized;     /* [R][D or hidden channels, rounded up to 4] */
  struct beex_quantized_row *quantized_rows; /* [R] */
  /* Of fully binary models: see engine.c for pairs. */
  int16_t *key_pairs, *value_pairs; /* [D / 2][T][2], [T / 2][D][2] */
  int16_t *query_pairs;             /* [R][D] */
  int16_t *shares;                  /* [R][T], attention weights of one head */
  uint64_t *bits;                   /* [T][words of D] */
  uint64_t *hidden_bits;            /* [R][words of hidden channels] */
  float *pooled;         /* [D] */
  float *logits;         /* [N][C]: those of the exits that the last run came to, */
  size_t exits;          /* and how many these are; 0 before the first */
  int32_t *ids;          /* [text length] */
} beex_engine;

/* Lays an engine out in the arena, of beex_arena_size bytes or more; options may be null. */
BEEX_API beex_status beex_start(beex_engine *engine, const beex_model *model, void *arena,
                                size_t arena_size, const beex_options *options);

/* Runs ids up to the exit that the policy takes; null is the model's own. Ids 0 are padding, and are
 * left out. engine->logits then holds the logits of exits 1 to result->exit. */
BEEX_API beex_status beex_run(beex_engine *engine, const int32_t *ids, size_t count,
                              const beex_policy *policy, beex_result *result);

/* beex_encode, cutting longer texts, which result->truncated then says, and beex_run by the model's own
 * policy. */
BEEX_API beex_status beex_classify(beex_engine *engine, const char *text, size_t text_size,
                                   const char *pair, size_t pair_size, beex_result *result);

/* What each exit answered that the last run came to, which is *exits of them: softmax probabilities of the
 * classes, [exits][C], or of a model that answers a number that number, [exits].
 *
 * values has room for `size` floats, of which N C are always enough; *exits is told even where there
 * is too little room, BEEX_ERROR_MEMORY. */
BEEX_API beex_status beex_exits(const beex_engine *engine, float *values, size_t size, size_t *exits);

/* === Exit rule === */

/* What a policy remembers of the exits before. */
typedef struct {
  float entropy, number, changed;
  size_t label, repeats;
} beex_exit_state;

BEEX_API void beex_exit_begin(beex_exit_state *state, size_t num_classes);

/* Whether the exit with these logits is taken; index is counted from 0. */
BEEX_API int beex_exit_taken(const beex_policy *policy, beex_exit_state *state, size_t index,
                             const float *logits, size_t num_classes);

/* === Self-test === */

#define BEEX_SELF_TEST_SIZE 10240

/* Runs known answers through every function of the kernels, null for the best of this machine, and through
 * the exit rule's exponential and logarithm. BEEX_ERROR_INEXACT tells that bits differ: the compiler
 * contracted or reassociated sums, or small numbers are flushed to zero. The memory, of
 * BEEX_SELF_TEST_SIZE bytes, is overwritten; an arena will do, before the engine starts. */
BEEX_API beex_status beex_self_test(const struct beex_kernels *kernels, void *memory, size_t size);

#ifdef __cplusplus
}
#endif

#endif
