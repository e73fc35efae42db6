/* A whole file in memory of its own size; a program that has none ends. */
#ifndef BEEX_READ_FILE_H
#define BEEX_READ_FILE_H

#include <stdio.h>
#include <stdlib.h>

static inline void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) exit(2);
  *size = (size_t)ftell(file);
  rewind(file);
  void *data = malloc(*size);
  if (!data || fread(data, 1, *size, file) != *size) exit(2);
  fclose(file);
  return data;
}

#endif
