// What the ops ask of TensorFlow Lite Micro, declared anew for the Python wheel `tflite-micro`.
//
// The wheel has no headers, and its layout is not that of any release. These declarations hold for
// 0.dev20261023182759 on x86-64 Linux alone; register.cc checks what can be checked before it writes
// anything. Programs for devices compile the ops with TensorFlow Lite Micro's own headers.
#ifndef BEEX_TESTS_TFLM_H
#define BEEX_TESTS_TFLM_H

#include <stddef.h>
#include <stdint.h>

void MicroPrintf(const char* format, ...);

namespace tflite {
namespace micro {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType { kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteBool = 6, kTfLiteInt8 = 9, kTfLiteUInt32 = 16 };

struct TfLiteIntArray {
  int size;
  int data[1];  // of `size`
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
};

struct TfLiteGatherParams {
  int axis;
  int batch_dims;
};

enum TfLiteFusedActivation { kTfLiteActNone = 0 };

struct TfLiteFullyConnectedParams {
  TfLiteFusedActivation activation;
};

struct TfLiteEvalTensor {
  union {
    void* data;
    char* raw;
  } data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteTensor {
  struct {
    int type;
    void* params;
  } quantization;
  struct {
    float scale;
    int32_t zero_point;
  } params;
};

// Virtual functions stand in the order of the wheel's table, up to the last that is called.
class MicroContext {
 public:
  virtual ~MicroContext();
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) = 0;
  virtual void* GetScratchBuffer(int index) = 0;
  virtual TfLiteTensor* AllocateTempTfLiteTensor(int index) = 0;
  TfLiteTensor* AllocateTempInputTensor(const TfLiteNode* node, int index);
  TfLiteTensor* AllocateTempOutputTensor(const TfLiteNode* node, int index);
  virtual void DeallocateTempTfLiteTensor(TfLiteTensor* tensor) = 0;
};

struct TfLiteContext {
  MicroContext* context;
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) { return context->context; }

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

TFLMRegistration RegisterOp(void* (*init)(TfLiteContext* context, const char* buffer, size_t length),
                            TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node),
                            TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node),
                            void (*free)(TfLiteContext* context, void* buffer) = nullptr,
                            void (*reset)(TfLiteContext* context, void* buffer) = nullptr);

TFLMRegistration Register_GATHER();
TFLMRegistration Register_FULLY_CONNECTED();

TfLiteEvalTensor* GetMutableEvalInput(const TfLiteContext* context, const TfLiteNode* node,
                                      int index);
const TfLiteEvalTensor* GetEvalInput(const TfLiteContext* context, const TfLiteNode* node,
                                     int index);
TfLiteEvalTensor* GetEvalOutput(const TfLiteContext* context, const TfLiteNode* node, int index);

template <typename T>
T* GetTensorData(TfLiteEvalTensor* tensor) {
  return reinterpret_cast<T*>(tensor->data.raw);
}

template <typename T>
const T* GetTensorData(const TfLiteEvalTensor* tensor) {
  return reinterpret_cast<const T*>(tensor->data.raw);
}

template <typename T>
const T* GetOptionalTensorData(const TfLiteEvalTensor* tensor) {
  return tensor == nullptr ? nullptr : GetTensorData<T>(tensor);
}

}  // namespace micro

// The wheel's resolver: what FindOp and GetOpDataParser of it read.
class PythonOpsResolver {
 public:
  static constexpr unsigned kCapacity = 200;

  virtual ~PythonOpsResolver();

  micro::TFLMRegistration registrations[kCapacity];
  unsigned num_registrations;
  int32_t builtin_codes[kCapacity];
  void* builtin_parsers[kCapacity];
  unsigned num_builtins;
};

}  // namespace tflite

#endif
