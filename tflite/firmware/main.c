/* Classifies one text a line, in UTF-8: answers label, probability and exit, with tabs between them. A model
 * that answers a number has it for a label; model.h defines MODEL_NUMBER then.
 *
 * "truncated" follows where a text has more tokens than the model reads. The two texts of a pair stand on
 * one line with a tab between them. A line that cannot be classified is answered by a sentence, and the
 * next line is read. Built with MEASURE, an answer goes on with what `measure` and `print_memory` say
 * instead.
 */
#include "beex.h"
#include "board.h"
#include "model.h"

#include <string.h>

#define LONGEST_LINE 1024

/* The model and its working memory. */
static beex_model model;
static beex_engine engine;
static uint64_t arena[MODEL_ARENA / sizeof(uint64_t)];

static char line[LONGEST_LINE];

/* The next line without its end; *size may be more than LONGEST_LINE, whose rest is not kept. 0 at the
 * end of the input. */
static int read_line(size_t *size) {
  static int has_ended; /* to read on would wait for a byte that never comes */
  *size = 0;
  while (!has_ended) {
    const int byte = board_read();
    if (byte == '\n') return 1;
    if (byte < 0) {
      has_ended = 1;
    } else {
      if (*size < LONGEST_LINE) line[*size] = (char)byte;
      ++*size;
    }
  }
  return *size > 0;
}

/* A share in [0, 1], with four digits. */
static void print_share(float share) {
  const uint32_t number = (uint32_t)(share * 10000.0f + 0.5f);
  char text[] = "0.0000";
  text[0] = (char)('0' + number / 10000);
  for (uint32_t i = 5, rest = number; i > 1; i--, rest /= 10) text[i] = (char)('0' + rest % 10);
  board_print(text);
}

#ifdef MODEL_NUMBER
/* A number within 10^15, with four digits behind the point; one beyond as if it were there. */
static void print_value(float value) {
  float magnitude = value < 0 ? -value : value;
  if (magnitude > 1e15f) magnitude = 1e15f;
  uint64_t whole = (uint64_t)magnitude;
  uint32_t rest = (uint32_t)((magnitude - (float)whole) * 10000.0f + 0.5f);
  whole += rest / 10000;
  rest %= 10000;
  char digits[] = ".0000";
  for (uint32_t i = 4; i > 0; i--, rest /= 10) digits[i] = (char)('0' + rest % 10);
  if (value < 0) board_print("-");
  board_print_number(whole);
  board_print(digits);
}
#endif

static void print_field(uint64_t number) {
  board_print("\t");
  board_print_number(number);
}

static int refuse(size_t number, const char *sentence) {
  board_print("error: ");
  if (number) {
    board_print("line ");
    board_print_number(number);
    board_print(": ");
  }
  board_print(sentence);
  board_print(".\n");
  return 2;
}

#ifdef MEASURE
#define PAINT UINT64_C(0xa5c3b4d2e1f08796)

/* Instructions: those of the tokenizer, then those up to each exit, and before these the number of
 * tokens. */
static void measure(const char *text, size_t size, const char *pair, size_t pair_size) {
  static int32_t ids[MODEL_LENGTH];
  size_t count;
  board_count();
  beex_encode(&model, text, size, pair, pair_size, 1, ids, &count);
  const uint64_t of_tokenizer = board_ticks();
  print_field(count);
  print_field(board_instructions(of_tokenizer));
  for (uint32_t depth = 1; depth <= model.header->num_blocks; depth++) {
    const beex_policy policy = {BEEX_FIXED_DEPTH, 0, (float)depth};
    beex_result result;
    board_count();
    beex_run(&engine, ids, count, &policy, &result);
    const uint64_t of_run = board_ticks();
    print_field(board_instructions(of_run));
  }
}

/* What lost its paint: bytes of the stack, and of the arena. */
static void print_memory(void) {
  size_t words = sizeof arena / sizeof *arena;
  while (words && arena[words - 1] == PAINT) words--;
  board_print("memory");
  print_field(board_stack_used());
  print_field(words * sizeof *arena);
  board_print("\n");
}
#endif

int main(void) {
#ifdef MEASURE
  for (size_t i = 0; i < sizeof arena / sizeof *arena; i++) arena[i] = PAINT;
#endif
  beex_status status = beex_open(&model, model_data, sizeof model_data);
  if (status == BEEX_OK && !model.header->has_vocabulary) status = BEEX_ERROR_VOCABULARY;
  if (status == BEEX_OK) status = beex_start(&engine, &model, arena, sizeof arena, NULL);
  if (status != BEEX_OK) return refuse(0, beex_status_message(status));

  size_t line_size;
  for (size_t number = 1; read_line(&line_size); number++) {
    if (line_size > LONGEST_LINE) {
      refuse(number, "the line is longer than LONGEST_LINE");
      continue;
    }
    const char *pair = NULL;
    size_t size = line_size, pair_size = 0;
    if (model.header->num_segments > 1) {
      const char *tab = memchr(line, '\t', line_size);
      if (!tab) {
        refuse(number, "the model reads pairs; put a tab between the two texts");
        continue;
      }
      size = (size_t)(tab - line);
      pair = tab + 1;
      pair_size = line_size - size - 1;
    }
    beex_result result;
    status = beex_classify(&engine, line, size, pair, pair_size, &result);
    if (status != BEEX_OK) {
      refuse(number, beex_status_message(status));
      continue;
    }
#ifdef MODEL_NUMBER
    print_value(result.value);
#else
    board_print(beex_label(&model, result.label));
#endif
    board_print("\t");
    print_share(result.score);
    print_field(result.exit);
#ifdef MEASURE
    measure(line, size, pair, pair_size);
#else
    if (result.truncated) board_print("\ttruncated");
#endif
    board_print("\n");
  }
#ifdef MEASURE
  print_memory();
#endif
  return 0;
}
