/* What org.beexkeras.Native declares. Handles are addresses of memory that its `free` and `stop` give back; the
 * Java classes see to it that none is used later, and no engine by two threads at a time.
 */
#include "beex.h"

#include <jni.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION(type, name) JNIEXPORT type JNICALL Java_org_beexkeras_Native_##name

/* The array in which an answer comes: as Native.classify lists it. */
enum { EXIT, LABEL, TRUNCATED, SCORE, VALUE, PROBABILITIES };

typedef struct {
  beex_engine engine;
  void *arena;
  float *answer; /* PROBABILITIES and what beex_exits writes */
} running;

static void *at(jlong handle) { return (void *)(intptr_t)handle; }

/* Bytes of a Java array, which may be null. */
typedef struct {
  jbyteArray array;
  jbyte *data;
  size_t size;
} bytes;

/* 0 if there is not enough memory, for which Java then has an exception. */
static int get(JNIEnv *env, jbyteArray array, bytes *b) {
  if (!array) return 1;
  b->array = array;
  b->size = (size_t)(*env)->GetArrayLength(env, array);
  b->data = (*env)->GetByteArrayElements(env, array, NULL);
  return b->data != NULL;
}

static void release(JNIEnv *env, const bytes *b) {
  if (b->data) (*env)->ReleaseByteArrayElements(env, b->array, b->data, JNI_ABORT);
}

FUNCTION(jstring, message)(JNIEnv *env, jclass class, jint status) {
  (void)class;
  return (*env)->NewStringUTF(env, beex_status_message((beex_status)status)); /* ASCII */
}

/* === Models === */

FUNCTION(jint, open)(JNIEnv *env, jclass class, jobject data, jlongArray handle) {
  (void)class;
  void *const address = (*env)->GetDirectBufferAddress(env, data);
  const jlong size = (*env)->GetDirectBufferCapacity(env, data);
  if (!address || size <= 0) return BEEX_ERROR_FORMAT; /* an empty one may have no address */
  beex_model *const model = malloc(sizeof *model);
  if (!model) return BEEX_ERROR_MEMORY;
  const beex_status status = beex_open(model, address, (size_t)size);
  if (status != BEEX_OK) {
    free(model);
    return (jint)status;
  }
  const jlong result = (jlong)(intptr_t)model;
  (*env)->SetLongArrayRegion(env, handle, 0, 1, &result);
  return BEEX_OK;
}

/* The parts of a model that beex_encode reads, of which none comes from a file: a header and dictionaries. */
FUNCTION(jlong, tokenizer)(JNIEnv *env, jclass class, jbyteArray words, jbyteArray pieces, jint text_length,
                           jint segments, jboolean lower_case, jint unknown_id, jint classification_id,
                           jint separator_id) {
  (void)class;
  const jsize words_size = (*env)->GetArrayLength(env, words);
  const jsize pieces_size = (*env)->GetArrayLength(env, pieces);
  struct {
    beex_model model;
    beex_header header;
  } *const own = calloc(1, sizeof *own + (size_t)words_size + (size_t)pieces_size);
  if (!own) return 0;
  beex_header *const h = &own->header;
  own->model.header = h;
  h->has_vocabulary = 1;
  h->length = h->text_length = (uint32_t)text_length;
  h->num_segments = (uint32_t)segments;
  h->lower_case = lower_case;
  h->unknown_id = (uint32_t)unknown_id;
  h->classification_id = (uint32_t)classification_id;
  h->separator_id = (uint32_t)separator_id;
  jbyte *const behind = (jbyte *)(own + 1);
  h->words = (uint32_t)((char *)behind - (char *)h), h->words_size = (uint32_t)words_size;
  h->pieces = h->words + h->words_size, h->pieces_size = (uint32_t)pieces_size;
  (*env)->GetByteArrayRegion(env, words, 0, words_size, behind);
  (*env)->GetByteArrayRegion(env, pieces, 0, pieces_size, behind + words_size);
  return (jlong)(intptr_t)own;
}

FUNCTION(void, free)(JNIEnv *env, jclass class, jlong model) {
  (void)env, (void)class;
  free(at(model));
}

FUNCTION(jintArray, describe)(JNIEnv *env, jclass class, jlong model) {
  (void)class;
  const beex_header *const h = ((const beex_model *)at(model))->header;
  const jint values[] = {(jint)h->num_classes, h->num_segments > 1, h->task == BEEX_NUMBER,
                         (jint)h->has_vocabulary};
  const jsize count = sizeof values / sizeof *values;
  jintArray result = (*env)->NewIntArray(env, count);
  if (result) (*env)->SetIntArrayRegion(env, result, 0, count, values);
  return result;
}

FUNCTION(jbyteArray, label)(JNIEnv *env, jclass class, jlong model, jint number) {
  (void)class;
  const char *const label = beex_label(at(model), (size_t)number);
  const jsize size = (jsize)strlen(label);
  jbyteArray result = (*env)->NewByteArray(env, size);
  if (result) (*env)->SetByteArrayRegion(env, result, 0, size, (const jbyte *)label);
  return result;
}

FUNCTION(jint, encode)(JNIEnv *env, jclass class, jlong model, jbyteArray text, jbyteArray pair,
                       jboolean truncate, jintArray ids) {
  (void)class;
  const beex_model *const m = at(model);
  int32_t *const own = malloc(m->header->text_length * sizeof *own);
  bytes first = {NULL, NULL, 0}, second = {NULL, NULL, 0};
  size_t count = 0;
  beex_status status = BEEX_ERROR_MEMORY;
  if (own && get(env, text, &first) && get(env, pair, &second)) {
    status = beex_encode(m, (const char *)first.data, first.size, (const char *)second.data, second.size,
                         truncate, own, &count);
  }
  release(env, &first);
  release(env, &second);
  if (status == BEEX_OK) (*env)->SetIntArrayRegion(env, ids, 0, (jsize)count, (const jint *)own);
  free(own);
  return (jint)status;
}

/* === Engines === */

FUNCTION(void, stop)(JNIEnv *env, jclass class, jlong engine) {
  (void)env, (void)class;
  running *const r = at(engine);
  free(r->arena);
  free(r->answer);
  free(r);
}

FUNCTION(jlong, start)(JNIEnv *env, jclass class, jlong model) {
  const beex_model *const m = at(model);
  const size_t size = beex_best_arena_size(m);
  const size_t values = PROBABILITIES + (size_t)m->header->num_blocks * m->header->num_classes;
  running *const r = calloc(1, sizeof *r);
  if (!r) return 0;
  r->arena = malloc(size);
  r->answer = malloc(values * sizeof *r->answer);
  if (r->arena && r->answer && beex_start(&r->engine, m, r->arena, size, NULL) == BEEX_OK) {
    return (jlong)(intptr_t)r;
  }
  Java_org_beexkeras_Native_stop(env, class, (jlong)(intptr_t)r);
  return 0;
}

static beex_status classify(running *r, const bytes *text, const bytes *pair) {
  const beex_header *const h = r->engine.model->header;
  beex_result result;
  const beex_status status = beex_classify(&r->engine, (const char *)text->data, text->size,
                                           (const char *)pair->data, pair->size, &result);
  if (status != BEEX_OK) return status;
  r->answer[EXIT] = (float)result.exit;
  r->answer[LABEL] = (float)result.label;
  r->answer[TRUNCATED] = (float)result.truncated;
  r->answer[SCORE] = result.score;
  r->answer[VALUE] = result.value;
  size_t exits;
  return beex_exits(&r->engine, r->answer + PROBABILITIES, (size_t)h->num_blocks * h->num_classes, &exits);
}

FUNCTION(jint, classify)(JNIEnv *env, jclass class, jlong engine, jbyteArray text, jbyteArray pair,
                         jfloatArray answer) {
  (void)class;
  running *const r = at(engine);
  bytes first = {NULL, NULL, 0}, second = {NULL, NULL, 0};
  beex_status status = BEEX_ERROR_MEMORY;
  if (get(env, text, &first) && get(env, pair, &second)) status = classify(r, &first, &second);
  release(env, &first);
  release(env, &second);
  if (status != BEEX_OK) return (jint)status;
  const jsize classes = (jsize)r->engine.model->header->num_classes;
  const float *const taken = r->answer + PROBABILITIES + (jsize)(r->engine.exits - 1) * classes;
  (*env)->SetFloatArrayRegion(env, answer, 0, PROBABILITIES, r->answer);
  (*env)->SetFloatArrayRegion(env, answer, PROBABILITIES, classes, taken);
  return BEEX_OK;
}
