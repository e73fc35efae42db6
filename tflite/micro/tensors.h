// What the ops ask of tensors, checked before they run.
#ifndef BEEX_MICRO_TENSORS_H
#define BEEX_MICRO_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"

// Says what is wrong and fails, in an op's Prepare, unless the condition holds.
#define BEEX_REQUIRE(op, condition, message)   \
  do {                                         \
    if (!(condition)) {                        \
      MicroPrintf("%s: %s", (op), (message)); \
      return kTfLiteError;                     \
    }                                          \
  } while (0)

namespace tflite {
namespace micro {

constexpr int kBits = 32;

inline int Words(int channels) { return channels / kBits + (channels % kBits != 0); }

inline int Rank(const TfLiteEvalTensor* tensor) { return tensor->dims->size; }

inline int Size(const TfLiteEvalTensor* tensor, int axis) { return tensor->dims->data[axis]; }

inline int LastSize(const TfLiteEvalTensor* tensor) { return Size(tensor, Rank(tensor) - 1); }

// Product of all sizes but the last.
inline size_t Rows(const TfLiteEvalTensor* tensor) {
  size_t rows = 1;
  for (int axis = 0; axis + 1 < Rank(tensor); axis++) {
    rows *= static_cast<size_t>(Size(tensor, axis));
  }
  return rows;
}

inline size_t Elements(const TfLiteEvalTensor* tensor) {
  return Rank(tensor) == 0 ? 1 : Rows(tensor) * static_cast<size_t>(LastSize(tensor));
}

// Whether `packed` has the shape of `values` with 32 of the last axis in one word.
inline bool IsPackedShape(const TfLiteEvalTensor* packed, const TfLiteEvalTensor* values) {
  if (Rank(values) == 0 || Rank(packed) != Rank(values)) return false;
  for (int axis = 0; axis + 1 < Rank(values); axis++) {
    if (Size(packed, axis) != Size(values, axis)) return false;
  }
  return LastSize(packed) == Words(LastSize(values));
}

inline bool IsVector(const TfLiteEvalTensor* tensor, TfLiteType type, int size) {
  return tensor != nullptr && tensor->type == type && Rank(tensor) == 1 &&
         Size(tensor, 0) == size;
}

// Real value = scale (number - zero_point), of an int8 tensor.
struct Quantization {
  float scale;
  int32_t zero_point;
};

// Reads the quantization of a tensor that AllocateTempInputTensor or -OutputTensor gave, and gives the
// tensor back.
inline TfLiteStatus ReadQuantization(MicroContext* context, TfLiteTensor* tensor,
                                     Quantization* quantization) {
  if (tensor == nullptr) return kTfLiteError;
  quantization->scale = tensor->params.scale;
  quantization->zero_point = tensor->params.zero_point;
  context->DeallocateTempTfLiteTensor(tensor);
  return quantization->scale > 0 ? kTfLiteOk : kTfLiteError;
}

}  // namespace micro
}  // namespace tflite

#endif
