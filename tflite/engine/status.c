/* What each status says, as a sentence. */
#include "beex.h"

const char *beex_status_message(beex_status status) {
  switch (status) {
    case BEEX_OK: return "no error";
    case BEEX_ERROR_FORMAT: return "this is not a whole .beex file of this version; convert the model again";
    case BEEX_ERROR_CHECKSUM: return "the file is damaged: its checksum does not match its content";
    case BEEX_ERROR_CONTENT: return "the file contradicts itself";
    case BEEX_ERROR_ALIGNMENT: return "data and arena must be aligned to 8 bytes";
    case BEEX_ERROR_PLATFORM: return "the engine does not run on big-endian machines";
    case BEEX_ERROR_MEMORY: return "the memory is smaller than beex_arena_size, BEEX_SELF_TEST_SIZE or what beex_exits writes";
    case BEEX_ERROR_POLICY: return "there is no such exit policy, or its threshold is not a number";
    case BEEX_ERROR_TOKENS: return "there are more tokens than the model reads, or unknown ones";
    case BEEX_ERROR_LENGTH: return "the text has more tokens than the model reads";
    case BEEX_ERROR_TEXT: return "the text is not valid UTF-8";
    case BEEX_ERROR_VOCABULARY: return "the model has no vocabulary, so it reads token ids, not text";
    case BEEX_ERROR_WEIGHTS: return "a weight is not finite or too large, or padding is not zero";
    case BEEX_ERROR_ARGUMENT: return "a pointer is null that must not be";
    case BEEX_ERROR_PAIR: return "the model reads single texts, not pairs; give one text";
    case BEEX_ERROR_SINGLE: return "the model reads pairs of texts; give a second text";
    case BEEX_ERROR_INEXACT: return "this build or machine rounds otherwise than the engine is defined to; see kernels/exact.h";
  }
  return "unknown error";
}
