// Weights that LceDequantize leaves packed, for the FULLY_CONNECTED behind it.
//
// Unpacked, the weights of one layer take 32 times their size in the arena. So where its input is a
// constant, LceDequantize gives its output tensor the constant's memory before TensorFlow Lite Micro
// plans the arena, which then sets none aside for it. Two types that no such output has mark it: as
// offered, and as accepted by an op that reads it so. What nobody accepted is an error, since any other
// op would take the words for floats.
#ifndef BEEX_MICRO_PACKED_WEIGHTS_H
#define BEEX_MICRO_PACKED_WEIGHTS_H

#include "tensors.h"

namespace tflite {
namespace micro {

constexpr TfLiteType kOffered = kTfLiteInt32, kAccepted = kTfLiteUInt32;

inline void Offer(TfLiteEvalTensor* weights, const TfLiteEvalTensor* words) {
  weights->data.data = words->data.data;
  weights->type = kOffered;
}

inline bool IsPacked(const TfLiteEvalTensor* weights) {
  return weights->type == kOffered || weights->type == kAccepted;
}

}  // namespace micro
}  // namespace tflite

#endif
