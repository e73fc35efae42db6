// FULLY_CONNECTED with weights that stay signs, 32 to a word; the rest is TensorFlow Lite Micro's own.
//
//     input       float32 (..., inputs)
//     weights     words   (outputs, words of the inputs), behind LceDequantize
//     bias        float32 (outputs), or none
//     output      float32 (..., outputs): y = x · weights + bias
#include "../kernels/lce.h"
#include "lce_ops.h"
#include "packed_weights.h"
#include "tensors.h"
#include "tensorflow/lite/micro/kernels/micro_ops.h"

namespace tflite {
namespace micro {
namespace {

constexpr char kName[] = "FULLY_CONNECTED";
constexpr int kInput = 0, kWeights = 1, kBias = 2;

TFLMRegistration Standard() { return Register_FULLY_CONNECTED(); }

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  TfLiteEvalTensor* weights = GetMutableEvalInput(context, node, kWeights);
  BEEX_REQUIRE(kName, weights != nullptr, "the weights are missing");
  if (!IsPacked(weights)) return Standard().prepare(context, node);
  const auto* options = static_cast<const TfLiteFullyConnectedParams*>(node->builtin_data);
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kInput);
  const TfLiteEvalTensor* bias = GetEvalInput(context, node, kBias);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  BEEX_REQUIRE(kName, input != nullptr && input->type == kTfLiteFloat32 && Rank(input) > 0,
               "with packed weights the input must be float32");
  BEEX_REQUIRE(kName, output != nullptr && output->type == kTfLiteFloat32 && Rank(output) > 0,
               "with packed weights the output must be float32");
  BEEX_REQUIRE(kName, options->activation == kTfLiteActNone,
               "with packed weights there can be no fused activation");
  BEEX_REQUIRE(kName,
               Rank(weights) == 2 && LastSize(input) == Size(weights, 1) &&
                   LastSize(output) == Size(weights, 0) && Rows(input) == Rows(output),
               "the shapes of input, weights and output do not fit");
  BEEX_REQUIRE(kName,
               bias == nullptr || IsVector(bias, kTfLiteFloat32, Size(weights, 0)),
               "the bias must be a float32 for each output");
  weights->type = kAccepted;
  return kTfLiteOk;
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* weights = GetEvalInput(context, node, kWeights);
  if (weights->type != kAccepted) return Standard().invoke(context, node);
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kInput);
  beex_multiply_signs(Rows(input), Size(weights, 1), Size(weights, 0),
                      GetTensorData<float>(input), GetTensorData<uint32_t>(weights),
                      GetOptionalTensorData<float>(GetEvalInput(context, node, kBias)),
                      GetTensorData<float>(GetEvalOutput(context, node, 0)));
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration Register_LCE_FULLY_CONNECTED() {
  TFLMRegistration registration = Standard();
  registration.prepare = Prepare;
  registration.invoke = Eval;
  return registration;
}

}  // namespace micro
}  // namespace tflite
