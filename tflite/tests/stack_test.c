/* stack_test KB MODEL...: all kernels that this machine has test themselves and classify on a thread. Fails if they
 * use more than that many KB of its stack, beside what the system itself keeps there; prints what they use. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/beex.h"

#define SYSTEM_KB 8 /* of an empty thread */
#define STACK_KB 256
#define UNUSED 0xa5

static char **models;
static int failures;

static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(2);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void *data = malloc(*size);
  if (!data || fread(data, 1, *size, file) != *size) exit(2);
  fclose(file);
  return data;
}

static void classify(const char *path, const struct beex_kernels *kernels) {
  size_t size;
  void *data = read_file(path, &size);
  beex_model model;
  beex_engine engine;
  beex_result result;
  const beex_options options = {kernels};
  if (beex_open(&model, data, size) != BEEX_OK) exit(2);
  const size_t arena_size = beex_best_arena_size(&model);
  void *arena = malloc(arena_size);
  if (!arena || beex_start(&engine, &model, arena, arena_size, &options) != BEEX_OK) exit(2);
  const char *text = "I wanted to like it, and in the end I almost did, but the film is far too long for what it says.";
  const char *pair = model.header->num_segments > 1 ? text : NULL;
  failures += beex_classify(&engine, text, strlen(text), pair, pair ? strlen(text) : 0, &result) != BEEX_OK;
  free(arena);
  free(data);
}

static void *work(void *memory) {
  for (const struct beex_kernels *const *k = beex_available_kernels(); *k; k++) {
    failures += beex_self_test(*k, memory, BEEX_SELF_TEST_SIZE) != BEEX_OK;
    for (char **path = models; *path; path++) classify(*path, *k);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  models = arguments + 2;
  pthread_attr_t attributes;
  pthread_t thread;
  void *memory = malloc(BEEX_SELF_TEST_SIZE), *stack = NULL;
  const size_t room = STACK_KB * 1024;
  if (!memory || posix_memalign(&stack, 65536, room) || pthread_attr_init(&attributes)) return 2;
  memset(stack, UNUSED, room);
  if (pthread_attr_setstack(&attributes, stack, room)) return 2;
  if (pthread_create(&thread, &attributes, work, memory) || pthread_join(thread, NULL)) return 2;
  size_t unused = 0; /* it grows downwards */
  while (unused < room && ((unsigned char *)stack)[unused] == UNUSED) unused++;
  printf("%.1f KB\n", (double)(room - unused) / 1024);
  free(stack);
  free(memory);
  return failures || room - unused > ((size_t)atoi(arguments[1]) + SYSTEM_KB) * 1024;
}
