/* beexrun MODEL.beex < texts: classifies one text a line.
 *
 * Prints label, probability and exit of each, with tabs between them, and "truncated" behind those of a
 * text that has more tokens than the model reads. The two texts of a pair stand on one line with a tab
 * between them.
 */
#include "engine/beex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *subject, const char *what) {
  fprintf(stderr, "error: %s: %s.\n", subject, what);
  return 2;
}

/* The whole file in memory of its own, or null. */
static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *data = NULL;
  long end;
  if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
    *size = (size_t)end;
    data = (char *)malloc(*size);
    if (data && fread(data, 1, *size, file) != *size) {
      free(data);
      data = NULL;
    }
  }
  fclose(file);
  return data;
}

/* The next line without its end, in a buffer that grows; 0 at the end of the input. */
static int read_line(char **line, size_t *room, size_t *size) {
  int c;
  *size = 0;
  while ((c = getchar()) != EOF && c != '\n') {
    if (*size + 1 >= *room) {
      char *larger = (char *)realloc(*line, *room ? 2 * *room : 256);
      if (!larger) exit(fail("input", "a line does not fit into memory"));
      *room = *room ? 2 * *room : 256;
      *line = larger;
    }
    (*line)[(*size)++] = (char)c;
  }
  return c != EOF || *size > 0;
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: beexrun MODEL.beex < texts, one text a line\n");
    return 2;
  }
  const char *path = arguments[1];
  size_t size = 0;
  errno = 0;
  void *data = read_file(path, &size);
  if (!data) return fail(path, errno ? strerror(errno) : "the file is empty or cannot be read");
  beex_model model;
  beex_engine engine;
  beex_status status = beex_open(&model, data, size);
  if (status != BEEX_OK) return fail(path, beex_status_message(status));
  if (!model.header->has_vocabulary) return fail(path, beex_status_message(BEEX_ERROR_VOCABULARY));
  const size_t arena_size = beex_best_arena_size(&model);
  void *arena = malloc(arena_size);
  if (!arena) return fail(path, "there is not enough memory for its arena");
  status = beex_start(&engine, &model, arena, arena_size, NULL);
  if (status != BEEX_OK) return fail(path, beex_status_message(status));

  char *line = NULL;
  size_t room = 0, line_size, number = 0;
  const int is_pair = model.header->num_segments > 1;
  while (read_line(&line, &room, &line_size)) {
    char place[32];
    snprintf(place, sizeof place, "line %zu", ++number);
    const char *pair = NULL;
    size_t text_size = line_size, pair_size = 0;
    if (is_pair) {
      const char *tab = line_size ? (const char *)memchr(line, '\t', line_size) : NULL;
      if (!tab) return fail(place, "the model reads pairs; put a tab between the two texts");
      text_size = (size_t)(tab - line);
      pair = tab + 1;
      pair_size = line_size - text_size - 1;
    }
    beex_result result;
    status = beex_classify(&engine, line ? line : "", text_size, pair, pair_size, &result);
    if (status != BEEX_OK) return fail(place, beex_status_message(status));
    printf("%s\t%.4f\t%zu/%u%s\n", beex_label(&model, result.label), (double)result.score,
           result.exit, (unsigned)model.header->num_blocks, result.truncated ? "\ttruncated" : "");
  }
  free(line);
  free(arena);
  free(data);
  return 0;
}
