// The ops of Larq Compute Engine's files for TensorFlow Lite Micro; README.md says how to add them.
//
// They read and write tensors as Larq Compute Engine does, weights where they lie in the file. Beside
// tensors they take a few dozen bytes of the arena for each LceBconv2d, and nothing else.
#ifndef BEEX_MICRO_LCE_OPS_H
#define BEEX_MICRO_LCE_OPS_H

#include "tensorflow/lite/micro/micro_common.h"

namespace tflite {
namespace micro {

// "LceQuantize": float32, int8 or bool to signs, 32 to a word.
TFLMRegistration Register_LCE_QUANTIZE();

// "LceDequantize": signs, 32 to a word, to float32, int8 or bool.
TFLMRegistration Register_LCE_DEQUANTIZE();

// "LceBconv2d": a convolution of signs with signs; to float32, int8 or signs.
TFLMRegistration Register_LCE_BCONV_2D();

// GATHER that can take rows of int32 too: an embedding of one bit a weight.
TFLMRegistration Register_LCE_GATHER();

// A pair for weights of one bit and real activations. Constants stay packed, which spares the arena the
// unpacked weights of the largest layer; they have to be read by this FULLY_CONNECTED and nothing else.
TFLMRegistration Register_LCE_DEQUANTIZE_PACKED();  // in place of Register_LCE_DEQUANTIZE
TFLMRegistration Register_LCE_FULLY_CONNECTED();

}  // namespace micro
}  // namespace tflite

#endif
