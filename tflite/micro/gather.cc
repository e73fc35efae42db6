// GATHER that takes rows of int32 words too, which an embedding of one bit a weight is stored in; the rest
// is TensorFlow Lite Micro's own.
#include <string.h>

#include "lce_ops.h"
#include "tensors.h"
#include "tensorflow/lite/micro/kernels/micro_ops.h"

namespace tflite {
namespace micro {
namespace {

constexpr char kName[] = "GATHER";
constexpr int kTable = 0, kPlaces = 1;

TFLMRegistration Standard() { return Register_GATHER(); }

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* table = GetEvalInput(context, node, kTable);
  BEEX_REQUIRE(kName, table != nullptr, "the table is missing");
  if (table->type != kTfLiteInt32) return Standard().prepare(context, node);
  const auto* options = static_cast<const TfLiteGatherParams*>(node->builtin_data);
  const TfLiteEvalTensor* places = GetEvalInput(context, node, kPlaces);
  const TfLiteEvalTensor* rows = GetEvalOutput(context, node, 0);
  BEEX_REQUIRE(kName, places != nullptr && places->type == kTfLiteInt32,
               "places must be of type int32");
  BEEX_REQUIRE(kName, rows != nullptr && rows->type == kTfLiteInt32,
               "rows must be of the table's type");
  BEEX_REQUIRE(kName,
               Rank(table) == 2 && (options->axis == 0 || options->axis == -2) &&
                   options->batch_dims == 0,
               "of int32, only rows of a matrix can be taken");
  BEEX_REQUIRE(kName,
               Rank(rows) == Rank(places) + 1 && LastSize(rows) == Size(table, 1) &&
                   Rows(rows) == Elements(places),
               "the output's shape does not follow from the inputs'");
  return kTfLiteOk;
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* table = GetEvalInput(context, node, kTable);
  if (table->type != kTfLiteInt32) return Standard().invoke(context, node);
  const TfLiteEvalTensor* places = GetEvalInput(context, node, kPlaces);
  const size_t words = Size(table, 1), count = Elements(places);
  const int32_t* place = GetTensorData<int32_t>(places);
  const uint32_t* from = GetTensorData<uint32_t>(table);
  uint32_t* to = GetTensorData<uint32_t>(GetEvalOutput(context, node, 0));
  for (size_t i = 0; i < count; i++, to += words) {
    BEEX_REQUIRE(kName, place[i] >= 0 && place[i] < Size(table, 0),
                 "a place is outside the table");
    memcpy(to, from + place[i] * words, words * sizeof *to);
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration Register_LCE_GATHER() {
  TFLMRegistration registration = Standard();
  registration.prepare = Prepare;
  registration.invoke = Eval;
  return registration;
}

}  // namespace micro
}  // namespace tflite
