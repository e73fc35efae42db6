/* A text classifier on a board, without heap, files or stdio.
 *
 *     beex convert MODEL -o model.c      # the model as a constant array: it stays in flash
 *     make header                        # the engine in one file, build/beex.h
 *
 * To be built with model.c and a file that defines BEEX_IMPLEMENTATION before it includes beex.h.
 */
#include "beex.h"
#include "model.h"

#include <string.h>

#ifdef MODEL_NUMBER
#error "This example prints labels, and the model answers a number: print result.value."
#endif

/* Yours: a serial port, a display. */
void board_print(const char *text);

static beex_model model;
static beex_engine engine;
static uint64_t arena[(MODEL_ARENA + 7) / 8]; /* aligned to 8 bytes */

/* Once, before anything is classified. */
static beex_status begin(void) {
  const beex_status status = beex_open(&model, model_data, sizeof model_data);
  return status == BEEX_OK ? beex_start(&engine, &model, arena, sizeof arena, NULL) : status;
}

/* The label of a text in UTF-8, or why it has none. */
static const char *classify(const char *text) {
  beex_result result;
  const beex_status status = beex_classify(&engine, text, strlen(text), NULL, 0, &result);
  return status == BEEX_OK ? beex_label(&model, result.label) : beex_status_message(status);
}

int main(void) {
  static const char *const texts[] = {"a gorgeous, witty, seductive movie.", "flat and lifeless."};
  const beex_status status = begin();
  if (status != BEEX_OK) {
    board_print(beex_status_message(status));
    return 1;
  }
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    board_print(classify(texts[i]));
    board_print("\n");
  }
  return 0;
}
