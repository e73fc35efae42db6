/* classify MODEL.beex < texts: the label of each line and its probability, on a computer.
 *
 *     cc classify.c $(pkg-config --cflags --libs beex) -o classify
 *
 * It is C99, and C++ as well.
 */
#include <beex.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s.\n", what, why);
  exit(2);
}

static void *allocate(size_t size) {
  void *memory = malloc(size);
  if (!memory) fail("memory", "there is not enough");
  return memory;
}

/* The whole file, in memory that malloc has aligned as the engine wants it. */
static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) fail(path, "it cannot be read");
  const long end = ftell(file);
  rewind(file);
  if (end <= 0 || end == LONG_MAX) fail(path, "it is empty, or no file");
  void *data = allocate((size_t)end);
  *size = fread(data, 1, (size_t)end, file);
  if (ferror(file)) fail(path, "it cannot be read");
  fclose(file);
  return data;
}

/* The next line without its end; 0 at the end of the input. */
static int read_line(char *line, size_t room, size_t *size) {
  int c;
  *size = 0;
  while ((c = getchar()) != EOF && c != '\n') {
    if (*size == room) fail("standard input", "a line has more than 4,096 bytes");
    line[(*size)++] = (char)c;
  }
  if (ferror(stdin)) fail("standard input", "it cannot be read");
  return c != EOF || *size > 0;
}

int main(int count, char **arguments) {
  if (count != 2) fail("usage", "classify MODEL.beex < texts");
  const char *path = arguments[1];
  size_t size;
  void *data = read_file(path, &size);

  beex_model model;
  beex_status status = beex_open(&model, data, size);
  if (status != BEEX_OK) fail(path, beex_status_message(status));

  beex_engine engine;
  const size_t arena_size = beex_best_arena_size(&model);
  void *arena = allocate(arena_size);
  status = beex_start(&engine, &model, arena, arena_size, NULL);
  if (status != BEEX_OK) fail(path, beex_status_message(status));

  char line[4096];
  size_t length;
  while (read_line(line, sizeof line, &length)) {
    beex_result result;
    status = beex_classify(&engine, line, length, NULL, 0, &result);
    if (status != BEEX_OK) fail("a text", beex_status_message(status));
    if (model.header->task == BEEX_NUMBER) {
      printf("%.4f\n", (double)result.value);
    } else {
      printf("%s\t%.4f\n", beex_label(&model, result.label), (double)result.score);
    }
  }
  if (fflush(stdout) || ferror(stdout)) fail("standard output", "it cannot be written");
  free(arena);
  free(data);
  return 0;
}
