// LceQuantize and LceDequantize: values to signs and back, along the last axis.
#include <math.h>

#include "lce_ops.h"
#include "packed_weights.h"
#include "tensors.h"

namespace tflite {
namespace micro {
namespace {

constexpr char kQuantize[] = "LceQuantize", kDequantize[] = "LceDequantize";

bool IsReal(TfLiteType type) {
  return type == kTfLiteFloat32 || type == kTfLiteInt8 || type == kTfLiteBool;
}

// Bit 1 for each value below zero.
template <typename T>
void Pack(size_t rows, int channels, const T* values, T zero, uint32_t* words) {
  for (; rows > 0; rows--) {
    for (int first = 0; first < channels; first += kBits) {
      const int count = channels - first < kBits ? channels - first : kBits;
      uint32_t word = 0;
      for (int i = 0; i < count; i++) word |= static_cast<uint32_t>(values[i] < zero) << i;
      values += count;
      *words++ = word;
    }
  }
}

template <typename T>
void Unpack(size_t rows, int channels, const uint32_t* words, T positive, T negative, T* values) {
  for (; rows > 0; rows--) {
    for (int first = 0; first < channels; first += kBits) {
      const int count = channels - first < kBits ? channels - first : kBits;
      const uint32_t word = *words++;
      for (int i = 0; i < count; i++) *values++ = word >> i & 1 ? negative : positive;
    }
  }
}

// The quantization of the side that holds values, if they are int8. Kept beside the node.
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node, const char* op, bool packs) {
  BEEX_REQUIRE(op, node->inputs->size == 1 && node->outputs->size == 1, "one input, one output");
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  BEEX_REQUIRE(op, input != nullptr && output != nullptr, "a tensor is missing");
  const TfLiteEvalTensor* values = packs ? input : output;
  const TfLiteEvalTensor* words = packs ? output : input;
  BEEX_REQUIRE(op, words->type == kTfLiteInt32, "signs must be words of type int32");
  BEEX_REQUIRE(op, IsReal(values->type), "values must be float32, int8 or bool");
  BEEX_REQUIRE(op, IsPackedShape(words, values), "the shapes of values and words differ");
  if (values->type != kTfLiteInt8) return kTfLiteOk;
  MicroContext* micro = GetMicroContext(context);
  node->user_data = micro->AllocatePersistentBuffer(sizeof(Quantization));
  BEEX_REQUIRE(op, node->user_data != nullptr, "the arena is too small");
  TfLiteTensor* tensor =
      packs ? micro->AllocateTempInputTensor(node, 0) : micro->AllocateTempOutputTensor(node, 0);
  BEEX_REQUIRE(op,
               ReadQuantization(micro, tensor, static_cast<Quantization*>(node->user_data)) ==
                   kTfLiteOk,
               "int8 values need a scale");
  return kTfLiteOk;
}

TfLiteStatus PrepareQuantize(TfLiteContext* context, TfLiteNode* node) {
  return Prepare(context, node, kQuantize, true);
}

TfLiteStatus PrepareDequantize(TfLiteContext* context, TfLiteNode* node) {
  return Prepare(context, node, kDequantize, false);
}

// A constant matrix is offered as it is.
TfLiteStatus PrepareDequantizePacked(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteStatus status = PrepareDequantize(context, node);
  if (status != kTfLiteOk) return status;
  const TfLiteEvalTensor* words = GetEvalInput(context, node, 0);
  TfLiteEvalTensor* values = GetEvalOutput(context, node, 0);
  // Only constants have memory before the arena is planned.
  const bool is_constant = words->data.data != nullptr;
  if (is_constant && values->type == kTfLiteFloat32 && Rank(values) == 2) Offer(values, words);
  return kTfLiteOk;
}

TfLiteStatus Quantize(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* values = GetEvalInput(context, node, 0);
  const size_t rows = Rows(values);
  const int channels = LastSize(values);
  uint32_t* words = GetTensorData<uint32_t>(GetEvalOutput(context, node, 0));
  switch (values->type) {
    case kTfLiteFloat32:
      Pack(rows, channels, GetTensorData<float>(values), 0.0f, words);
      return kTfLiteOk;
    case kTfLiteInt8: {
      const int32_t zero = static_cast<Quantization*>(node->user_data)->zero_point;
      Pack(rows, channels, GetTensorData<int8_t>(values), static_cast<int8_t>(zero), words);
      return kTfLiteOk;
    }
    case kTfLiteBool:  // true is +1
      Pack(rows, channels, GetTensorData<uint8_t>(values), uint8_t{1}, words);
      return kTfLiteOk;
    default:
      return kTfLiteError;
  }
}

int8_t Saturated(int32_t number) {
  return static_cast<int8_t>(number < -128 ? -128 : number > 127 ? 127 : number);
}

TfLiteStatus Dequantize(TfLiteContext* context, TfLiteNode* node) {
  TfLiteEvalTensor* values = GetEvalOutput(context, node, 0);
  const size_t rows = Rows(values);
  const int channels = LastSize(values);
  const uint32_t* words = GetTensorData<uint32_t>(GetEvalInput(context, node, 0));
  switch (values->type) {
    case kTfLiteFloat32:
      Unpack(rows, channels, words, 1.0f, -1.0f, GetTensorData<float>(values));
      return kTfLiteOk;
    case kTfLiteInt8: {
      const Quantization* quantization = static_cast<Quantization*>(node->user_data);
      const float one = roundf(1.0f / quantization->scale);
      const int32_t step = one < 256 ? static_cast<int32_t>(one) : 256;
      Unpack(rows, channels, words, Saturated(quantization->zero_point + step),
             Saturated(quantization->zero_point - step), GetTensorData<int8_t>(values));
      return kTfLiteOk;
    }
    case kTfLiteBool:
      Unpack(rows, channels, words, true, false, GetTensorData<bool>(values));
      return kTfLiteOk;
    default:
      return kTfLiteError;
  }
}

TfLiteStatus DequantizePacked(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* values = GetEvalOutput(context, node, 0);
  if (!IsPacked(values)) return Dequantize(context, node);
  BEEX_REQUIRE(kDequantize, values->type == kAccepted,
               "packed weights need Register_LCE_FULLY_CONNECTED; add it, or unpack them with "
               "Register_LCE_DEQUANTIZE");
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration Register_LCE_QUANTIZE() { return RegisterOp(nullptr, PrepareQuantize, Quantize); }

TFLMRegistration Register_LCE_DEQUANTIZE() {
  return RegisterOp(nullptr, PrepareDequantize, Dequantize);
}

TFLMRegistration Register_LCE_DEQUANTIZE_PACKED() {
  return RegisterOp(nullptr, PrepareDequantizePacked, DequantizePacked);
}

}  // namespace micro
}  // namespace tflite
