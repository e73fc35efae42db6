/* beexrun MODEL.beex < texts: classifies one text a line. beexrun --self-test: whether this build gives the
 * engine's own bits, by each implementation of the kernels that this machine can run.
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
  /* Of a folder fseek may say that it has nearly LONG_MAX bytes. */
  if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && end <= UINT32_MAX &&
      fseek(file, 0, SEEK_SET) == 0) {
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

/* The code to exit with: that one, if all output is written. */
static int written(int code) {
  return fflush(stdout) || ferror(stdout) ? fail("output", strerror(errno)) : code;
}

static int self_test(void) {
  void *memory = malloc(BEEX_SELF_TEST_SIZE);
  if (!memory) return fail("self-test", "there is not enough memory");
  int failures = 0;
  for (const struct beex_kernels *const *k = beex_available_kernels(); *k; k++) {
    const beex_status status = beex_self_test(*k, memory, BEEX_SELF_TEST_SIZE);
    printf("%s: %s\n", beex_kernels_name(*k),
           status == BEEX_OK ? "passed" : beex_status_message(status));
    failures += status != BEEX_OK;
  }
  free(memory);
  return written(failures ? 1 : 0);
}

static const char usage[] =
    "usage: beexrun MODEL.beex [options] < texts\n"
    "       beexrun --self-test | --version | --help\n"
    "\n"
    "Classifies one text a line; the two texts of a pair stand on one line with a tab between them.\n"
    "Prints label, probability and exit, with tabs between them, and \"truncated\" behind those of a\n"
    "text that has more tokens than the model reads. A model that answers a number has it for a label.\n"
    "A line that cannot be classified gets \"error\" and the reason, and the exit status is then 1.\n"
    "\n"
    "  --threshold NUMBER  of the exit policy, instead of the model's own\n"
    "  --policy NAME       another exit policy, with --threshold: fractional_entropy, entropy,\n"
    "                      confidence, patience, fixed_depth, or change, of a number\n"
    "  --exits             print what each exit answered, too: the probabilities of all classes, in\n"
    "                      their order with commas between them, or the number\n"
    "  --kernels NAME      compute by these, not the best of this machine; the answers are the same\n"
    "  --self-test         tell whether this build computes as the engine is defined to\n";

typedef struct {
  const char *model, *threshold, *policy, *kernels;
  int exits;
} settings;

/* 0, or 2 with an error said. */
static int parse(int count, char **words, settings *s) {
  const struct {
    const char *name, **value;
  } options[] = {
      {"--threshold", &s->threshold}, {"--policy", &s->policy}, {"--kernels", &s->kernels}};
  const size_t known = sizeof options / sizeof *options;
  for (int i = 1; i < count; i++) {
    size_t n = 0;
    while (n < known && strcmp(words[i], options[n].name) != 0) n++;
    if (n < known) {
      if (i + 1 == count) return fail(words[i], "it needs a value");
      *options[n].value = words[++i];
    } else if (strcmp(words[i], "--exits") == 0) {
      s->exits = 1;
    } else if (words[i][0] == '-') {
      return fail(words[i], "there is no such option; see beexrun --help");
    } else if (s->model) {
      return fail(words[i], "there is a model already; texts come by standard input");
    } else {
      s->model = words[i];
    }
  }
  return s->model ? 0 : fail("beexrun", "name a model; see beexrun --help");
}

/* The model's own policy, or what the settings make of it; 0, or 2 with an error said. */
static int choose_policy(const settings *s, beex_policy *policy) {
  /* By their kinds. Where a high score means that the exit is good enough, it is not `below`. */
  static const struct {
    const char *name;
    uint32_t below;
  } kinds[] = {{"fractional_entropy", 1}, {"entropy", 1},     {"confidence", 0},
               {"patience", 0},           {"fixed_depth", 0}, {"change", 1}};
  if (s->policy) {
    uint32_t kind = 0;
    while (kind < sizeof kinds / sizeof *kinds && strcmp(s->policy, kinds[kind].name) != 0) kind++;
    if (kind == sizeof kinds / sizeof *kinds) {
      return fail(s->policy, "there is no such exit policy; see beexrun --help");
    }
    if (!s->threshold) return fail("--policy", "it needs --threshold beside it");
    policy->kind = kind;
    policy->below = kinds[kind].below;
  }
  if (s->threshold) {
    char *end;
    policy->threshold = strtof(s->threshold, &end);
    if (end == s->threshold || *end) return fail(s->threshold, "the threshold is not a number");
  }
  return 0;
}

/* Text to result: beex_classify by any policy. */
static beex_status classify(beex_engine *engine, const beex_policy *policy, const char *text,
                            size_t text_size, const char *pair, size_t pair_size, beex_result *result) {
  size_t count;
  int truncated = 0;
  for (;;) {
    beex_status status = beex_encode(engine->model, text, text_size, pair, pair_size, truncated,
                                     engine->ids, &count);
    if (status != BEEX_ERROR_LENGTH) {
      if (status == BEEX_OK) status = beex_run(engine, engine->ids, count, policy, result);
      result->truncated = truncated;
      return status;
    }
    truncated = 1;
  }
}

/* A tab and its values for each exit; `values` has room for those of all. */
static void print_exits(const beex_engine *engine, float *values) {
  const beex_header *h = engine->model->header;
  size_t exits = 0;
  beex_exits(engine, values, (size_t)h->num_blocks * h->num_classes, &exits);
  for (size_t i = 0; i < exits * h->num_classes; i++) {
    printf("%c%.4f", i % h->num_classes ? ',' : '\t', (double)values[i]);
  }
}

static void print_result(const beex_engine *engine, const beex_result *result, float *values) {
  const beex_header *h = engine->model->header;
  if (h->task == BEEX_NUMBER) {
    printf("%.4f", (double)result->value);
  } else {
    printf("%s", beex_label(engine->model, result->label));
  }
  printf("\t%.4f\t%zu/%u", (double)result->score, result->exit, (unsigned)h->num_blocks);
  if (values) print_exits(engine, values);
  puts(result->truncated ? "\ttruncated" : "");
}

/* One line: its text, or the two of a pair; null, or what is wrong with it. */
static const char *classify_line(beex_engine *engine, const beex_policy *policy, const char *line,
                                 size_t size, beex_result *result) {
  const char *pair = NULL;
  size_t text_size = size, pair_size = 0;
  if (engine->model->header->num_segments > 1) {
    const char *tab = size ? (const char *)memchr(line, '\t', size) : NULL;
    if (!tab) return "the model reads pairs; put a tab between the two texts";
    text_size = (size_t)(tab - line);
    pair = tab + 1;
    pair_size = size - text_size - 1;
  }
  const beex_status status = classify(engine, policy, line, text_size, pair, pair_size, result);
  return status == BEEX_OK ? NULL : beex_status_message(status);
}

/* Standard input, line by line; `values` is null, or has room for the values of all exits. 1 if a line had
 * no answer, which does not keep others from theirs. */
static int classify_lines(beex_engine *engine, const beex_policy *policy, float *values) {
  char *line = NULL;
  size_t room = 0, line_size;
  int code = 0;
  while (read_line(&line, &room, &line_size)) {
    beex_result result;
    const char *wrong = classify_line(engine, policy, line ? line : "", line_size, &result);
    if (wrong) {
      printf("error\t\t\t%s\n", wrong);
      code = 1;
    } else {
      print_result(engine, &result, values);
    }
  }
  free(line);
  if (ferror(stdin)) return fail("input", "it cannot be read");
  return written(code);
}

int main(int count, char **arguments) {
  const char *alone = count == 2 ? arguments[1] : "";
  if (strcmp(alone, "--self-test") == 0) return self_test();
  if (strcmp(alone, "--version") == 0 || strcmp(alone, "--help") == 0) {
    fputs(strcmp(alone, "--help") == 0 ? usage : "beexrun " BEEX_VERSION "\n", stdout);
    return written(0);
  }
  settings s = {NULL, NULL, NULL, NULL, 0};
  if (parse(count, arguments, &s)) return 2;
  const beex_options options = {s.kernels ? beex_find_kernels(s.kernels) : NULL};
  if (s.kernels && !options.kernels) return fail(s.kernels, "this machine has no such kernels");

  size_t size = 0;
  errno = 0;
  void *data = read_file(s.model, &size);
  if (!data) return fail(s.model, errno ? strerror(errno) : "the file is empty or cannot be read");
  beex_model model;
  beex_engine engine;
  beex_status status = beex_open(&model, data, size);
  if (status != BEEX_OK) return fail(s.model, beex_status_message(status));
  const beex_header *h = model.header;
  if (!h->has_vocabulary) return fail(s.model, beex_status_message(BEEX_ERROR_VOCABULARY));
  beex_policy policy = h->policy;
  if (choose_policy(&s, &policy)) return 2;
  const size_t arena_size = beex_best_arena_size(&model);
  const size_t values_size = (size_t)h->num_blocks * h->num_classes * sizeof(float);
  void *arena = malloc(arena_size);
  float *values = s.exits ? (float *)malloc(values_size) : NULL;
  if (!arena || (s.exits && !values)) return fail(s.model, "there is not enough memory for its arena");
  status = beex_start(&engine, &model, arena, arena_size, &options);
  if (status != BEEX_OK) return fail(s.model, beex_status_message(status));
  /* A policy that the model cannot have is no line's fault. */
  const int32_t token = (int32_t)h->classification_id;
  beex_result result;
  status = beex_run(&engine, &token, 1, &policy, &result);
  if (status != BEEX_OK) return fail(s.policy ? s.policy : s.model, beex_status_message(status));
  const int code = classify_lines(&engine, &policy, values);
  free(values);
  free(arena);
  free(data);
  return code;
}
