// LceBconv2d: a convolution of signs with signs.
//
//     input       words  (batch, height, width, words of the channels)
//     filter      words  (outputs, filter height, filter width, words of a group's channels)
//     multiplier, bias    float32 (outputs)     for float32 and int8
//     thresholds          int32 (outputs)       for signs
//     output      float32, int8 or words of signs (batch, height, width, ·)
//
// A sum of +-1 runs over the filter's places and the group's channels; it is exact. Then
//
//     float32     y = activation(sum) * multiplier + bias
//     int8        q = y / scale + zero point, rounded and saturated
//     signs       1 (negative) where the count of products that are -1 exceeds the threshold
//
// where activation limits the sum itself, as Larq Compute Engine defines it. Places beyond the edge count
// as +1 (pad_values 1) or as 0 (pad_values 0, where half of each such place's products count as -1).
#include "../kernels/exact.h"

#include <math.h>

#include "../kernels/lce.h"
#include "lce_ops.h"
#include "options.h"
#include "tensors.h"

namespace tflite {
namespace micro {
namespace {

constexpr char kName[] = "LceBconv2d";
constexpr int kInput = 0, kFilter = 1, kMultiplier = 2, kBias = 3, kThresholds = 4;

// How the file numbers paddings and activations.
constexpr int32_t kSame = 0, kValid = 1;
constexpr int32_t kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3;

// What an op keeps between runs.
struct Convolution {
  bool is_read;  // its attributes
  int32_t channels;
  int32_t stride_height, stride_width;
  int32_t dilation_height, dilation_width;
  int32_t padding, pad_value;
  int32_t activation;
  int32_t groups;
  int32_t pad_top, pad_left;
  Quantization quantization;  // of int8
};

// One of the two axes of an image.
struct Axis {
  int32_t size, filter, stride, dilation, pad;

  // Which place of the input an output reads with a place of the filter. Prepare saw that all fit.
  int32_t Place(int32_t output, int32_t tap) const {
    return output * stride - pad + tap * dilation;
  }
  bool IsInside(int32_t place) const { return place >= 0 && place < size; }
};

struct Shape {
  Axis rows, columns;
  int outputs, outputs_per_group;
  int channels, words;  // of a group
  int input_words;      // of all groups
  bool skips_outside;   // places beyond the edge count as 0
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* op = static_cast<Convolution*>(
      GetMicroContext(context)->AllocatePersistentBuffer(sizeof(Convolution)));
  if (op == nullptr) return nullptr;
  const Options options(buffer, length);
  op->is_read = options.Find("channels_in", &op->channels) &&
                options.Find("stride_height", &op->stride_height) &&
                options.Find("stride_width", &op->stride_width) &&
                options.Find("dilation_height_factor", &op->dilation_height) &&
                options.Find("dilation_width_factor", &op->dilation_width) &&
                options.Find("padding", &op->padding) &&
                options.Find("pad_values", &op->pad_value) &&
                options.Find("fused_activation_function", &op->activation);
  return op;
}

// The size of the output along an axis, and the padding in front of the input. 0 where places of the input
// are beyond 32 bits: attributes may be any numbers.
int32_t OutputSize(int32_t size, int32_t filter, int32_t stride, int32_t dilation, bool same,
                   int32_t* pad) {
  const int64_t reach = (int64_t{filter} - 1) * dilation + 1;
  const int64_t output =
      same ? (int64_t{size} + stride - 1) / stride : (size - reach + stride) / stride;
  const int64_t last = (output - 1) * stride + reach;
  if (last > INT32_MAX) return 0;
  const int64_t missing = last - size;
  *pad = static_cast<int32_t>(same && missing > 0 ? missing / 2 : 0);
  return static_cast<int32_t>(output < 0 ? 0 : output);
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* op = static_cast<Convolution*>(node->user_data);
  BEEX_REQUIRE(kName, op != nullptr, "the arena is too small");
  BEEX_REQUIRE(kName, op->is_read, "an attribute is missing");
  BEEX_REQUIRE(kName, node->inputs->size == 5 && node->outputs->size == 1,
               "five inputs, one output");
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kInput);
  const TfLiteEvalTensor* filter = GetEvalInput(context, node, kFilter);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  BEEX_REQUIRE(kName, input != nullptr && filter != nullptr && output != nullptr,
               "a tensor is missing");
  BEEX_REQUIRE(kName, input->type == kTfLiteInt32 && filter->type == kTfLiteInt32,
               "input and filter must be words of type int32");
  BEEX_REQUIRE(kName, Rank(input) == 4 && Rank(filter) == 4 && Rank(output) == 4,
               "input, filter and output must have four axes");

  BEEX_REQUIRE(kName, op->padding == kSame || op->padding == kValid, "unknown padding");
  BEEX_REQUIRE(kName, op->pad_value == 0 || op->pad_value == 1, "pad_values must be 0 or 1");
  BEEX_REQUIRE(kName, op->activation >= kNone && op->activation <= kRelu6,
               "unknown fused activation");
  BEEX_REQUIRE(kName,
               op->channels > 0 && op->stride_height > 0 && op->stride_width > 0 &&
                   op->dilation_height > 0 && op->dilation_width > 0,
               "channels, strides and dilations must be positive");

  const int outputs = Size(filter, 0), words = Size(filter, 3);
  BEEX_REQUIRE(kName, outputs > 0 && words > 0 && Size(filter, 1) > 0 && Size(filter, 2) > 0,
               "the filter is empty");
  BEEX_REQUIRE(kName, Size(input, 3) == Words(op->channels) && Size(input, 3) % words == 0,
               "the filter's channels do not fit the input's");
  op->groups = Size(input, 3) / words;
  BEEX_REQUIRE(kName,
               op->groups == 1 ||
                   (op->channels == op->groups * words * kBits && outputs % op->groups == 0),
               "groups must have whole words of channels, and equal numbers of outputs");

  const bool same = op->padding == kSame;
  const int32_t height = OutputSize(Size(input, 1), Size(filter, 1), op->stride_height,
                                    op->dilation_height, same, &op->pad_top);
  const int32_t width = OutputSize(Size(input, 2), Size(filter, 2), op->stride_width,
                                   op->dilation_width, same, &op->pad_left);
  const bool to_signs = output->type == kTfLiteInt32;
  BEEX_REQUIRE(kName,
               height > 0 && width > 0 && Size(output, 0) == Size(input, 0) &&
                   Size(output, 1) == height && Size(output, 2) == width &&
                   Size(output, 3) == (to_signs ? Words(outputs) : outputs),
               "the output's shape does not follow from the input's");

  if (to_signs) {
    BEEX_REQUIRE(kName, IsVector(GetEvalInput(context, node, kThresholds), kTfLiteInt32, outputs),
                 "signs need a threshold for each output");
    BEEX_REQUIRE(kName, !same || op->pad_value == 1 || op->channels / op->groups % 2 == 0,
                 "signs with padding by zeros need an even number of channels");
    return kTfLiteOk;
  }
  BEEX_REQUIRE(kName, output->type == kTfLiteFloat32 || output->type == kTfLiteInt8,
               "the output must be float32, int8 or words of type int32");
  BEEX_REQUIRE(kName,
               IsVector(GetEvalInput(context, node, kMultiplier), kTfLiteFloat32, outputs) &&
                   IsVector(GetEvalInput(context, node, kBias), kTfLiteFloat32, outputs),
               "each output needs a multiplier and a bias");
  if (output->type == kTfLiteInt8) {
    MicroContext* micro = GetMicroContext(context);
    BEEX_REQUIRE(kName,
                 ReadQuantization(micro, micro->AllocateTempOutputTensor(node, 0),
                                  &op->quantization) == kTfLiteOk,
                 "an int8 output needs a scale");
  }
  return kTfLiteOk;
}

int32_t Activated(int32_t sum, int32_t activation) {
  const int32_t least = activation == kNone ? INT32_MIN : activation == kReluN1To1 ? -1 : 0;
  const int32_t most = activation == kRelu6 ? 6 : activation == kReluN1To1 ? 1 : INT32_MAX;
  return sum < least ? least : sum > most ? most : sum;
}

int8_t Quantized(float y, const Quantization& quantization) {
  const float q = roundf(y / quantization.scale + static_cast<float>(quantization.zero_point));
  return static_cast<int8_t>(q > -128.0f ? (q < 127.0f ? q : 127.0f) : -128.0f);  // also of NaN
}

Shape ShapeOf(const Convolution& op, const TfLiteEvalTensor* input,
              const TfLiteEvalTensor* filter) {
  Shape shape;
  shape.rows = {Size(input, 1), Size(filter, 1), op.stride_height, op.dilation_height, op.pad_top};
  shape.columns = {Size(input, 2), Size(filter, 2), op.stride_width, op.dilation_width,
                   op.pad_left};
  shape.outputs = Size(filter, 0);
  shape.outputs_per_group = shape.outputs / op.groups;
  shape.channels = op.channels / op.groups;
  shape.words = Size(filter, 3);
  shape.input_words = Size(input, 3);
  shape.skips_outside = op.padding == kSame && op.pad_value == 0;
  return shape;
}

// Counts the products that are -1 at one position of the output, for outputs of one group; returns how
// many places of the filter were counted.
int32_t CountNegative(const Shape& shape, const uint32_t* image, const uint32_t* filters, int row,
                      int column, int first, int count, uint32_t* negative) {
  const size_t taps = static_cast<size_t>(shape.rows.filter) * shape.columns.filter;
  const size_t group = first / shape.outputs_per_group * shape.words;
  const uint32_t* weights = filters + first * taps * shape.words;
  int32_t counted = 0;
  for (int y = 0; y < shape.rows.filter; y++) {
    for (int x = 0; x < shape.columns.filter; x++, weights += shape.words) {
      const int32_t input_row = shape.rows.Place(row, y);
      const int32_t input_column = shape.columns.Place(column, x);
      const bool inside =
          shape.rows.IsInside(input_row) && shape.columns.IsInside(input_column);
      if (!inside && shape.skips_outside) continue;
      const size_t place = static_cast<size_t>(input_row) * shape.columns.size + input_column;
      beex_count_differences(count, shape.words,
                             inside ? image + place * shape.input_words + group : nullptr, weights,
                             taps * shape.words, negative);
      counted++;
    }
  }
  return counted;
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& op = *static_cast<const Convolution*>(node->user_data);
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kInput);
  const TfLiteEvalTensor* filter = GetEvalInput(context, node, kFilter);
  TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  const Shape shape = ShapeOf(op, input, filter);
  const int32_t taps = shape.rows.filter * shape.columns.filter;
  const size_t image_words =
      static_cast<size_t>(shape.rows.size) * shape.columns.size * shape.input_words;

  const uint32_t* filters = GetTensorData<uint32_t>(filter);
  const auto* multiplier = GetOptionalTensorData<float>(GetEvalInput(context, node, kMultiplier));
  const auto* bias = GetOptionalTensorData<float>(GetEvalInput(context, node, kBias));
  const auto* threshold =
      GetOptionalTensorData<int32_t>(GetEvalInput(context, node, kThresholds));

  size_t position = 0;
  for (int batch = 0; batch < Size(output, 0); batch++) {
    const uint32_t* image = GetTensorData<uint32_t>(input) + batch * image_words;
    for (int row = 0; row < Size(output, 1); row++) {
      for (int column = 0; column < Size(output, 2); column++, position++) {
        // Up to 32 outputs at a time, of one group and of one word of signs.
        int count;
        for (int first = 0; first < shape.outputs; first += count) {
          const int left = shape.outputs_per_group - first % shape.outputs_per_group;
          count = left < kBits - first % kBits ? left : kBits - first % kBits;
          uint32_t negative[kBits] = {0};
          const int32_t counted =
              CountNegative(shape, image, filters, row, column, first, count, negative);

          if (output->type == kTfLiteInt32) {
            uint32_t* word = GetTensorData<uint32_t>(output) + position * Words(shape.outputs) +
                             first / kBits;
            if (first % kBits == 0) *word = 0;
            const int32_t outside = (taps - counted) * (shape.channels / 2);
            for (int i = 0; i < count; i++) {
              const int32_t total = static_cast<int32_t>(negative[i]) + outside;
              *word |= static_cast<uint32_t>(total > threshold[first + i]) << (first + i) % kBits;
            }
            continue;
          }
          const size_t start = position * shape.outputs + first;
          for (int i = 0; i < count; i++) {
            const int32_t sum =
                counted * shape.channels - 2 * static_cast<int32_t>(negative[i]);
            const float y =
                static_cast<float>(Activated(sum, op.activation)) * multiplier[first + i] +
                bias[first + i];
            if (output->type == kTfLiteFloat32) {
              GetTensorData<float>(output)[start + i] = y;
            } else {
              GetTensorData<int8_t>(output)[start + i] = Quantized(y, op.quantization);
            }
          }
        }
      }
    }
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration Register_LCE_BCONV_2D() { return RegisterOp(Init, Prepare, Eval); }

}  // namespace micro
}  // namespace tflite
