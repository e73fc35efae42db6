// Adds the ops to the interpreter of the Python wheel `tflite-micro`, which looks these functions up by
// their names: with the weights of FULLY_CONNECTED unpacked, and packed. They add nothing, and the
// interpreter is not made, unless the resolver is the one that tflm.h declares.
#include "../../micro/lce_ops.h"

namespace {

using tflite::PythonOpsResolver;
using tflite::micro::TFLMRegistration;

constexpr int kFullyConnected = 9, kCustom = 32, kGather = 36;
constexpr unsigned kRegistrations = 118, kBuiltins = 100;

bool IsKnown(const PythonOpsResolver& resolver) {
  if (resolver.num_registrations != kRegistrations || resolver.num_builtins != kBuiltins) {
    return false;
  }
  unsigned builtins = 0;
  for (unsigned i = 0; i < kRegistrations; i++) {
    const TFLMRegistration& registration = resolver.registrations[i];
    if (registration.invoke == nullptr) return false;
    if (registration.builtin_code == kCustom) {
      if (registration.custom_name == nullptr) return false;
      continue;
    }
    if (builtins == kBuiltins || registration.builtin_code != resolver.builtin_codes[builtins++]) {
      return false;
    }
  }
  return builtins == kBuiltins;
}

void Add(PythonOpsResolver* resolver, const char* name, const TFLMRegistration& registration) {
  TFLMRegistration* added = &resolver->registrations[resolver->num_registrations++];
  *added = registration;
  added->builtin_code = kCustom;
  added->custom_name = name;
}

void Replace(PythonOpsResolver* resolver, int builtin_code, const TFLMRegistration& registration) {
  for (unsigned i = 0; i < resolver->num_registrations; i++) {
    TFLMRegistration* known = &resolver->registrations[i];
    if (known->builtin_code != builtin_code) continue;
    *known = registration;
    known->builtin_code = builtin_code;
  }
}

bool Register(PythonOpsResolver* resolver, const TFLMRegistration& dequantize) {
  if (!IsKnown(*resolver)) {
    MicroPrintf("The ops were not added: this is not the tflite-micro that they were built for.");
    return false;
  }
  Add(resolver, "LceQuantize", tflite::micro::Register_LCE_QUANTIZE());
  Add(resolver, "LceDequantize", dequantize);
  Add(resolver, "LceBconv2d", tflite::micro::Register_LCE_BCONV_2D());
  Replace(resolver, kGather, tflite::micro::Register_LCE_GATHER());
  return true;
}

}  // namespace

extern "C" bool BeexRegisterUnpacked(PythonOpsResolver* resolver) {
  return Register(resolver, tflite::micro::Register_LCE_DEQUANTIZE());
}

extern "C" bool BeexRegisterPacked(PythonOpsResolver* resolver) {
  if (!Register(resolver, tflite::micro::Register_LCE_DEQUANTIZE_PACKED())) return false;
  Replace(resolver, kFullyConnected, tflite::micro::Register_LCE_FULLY_CONNECTED());
  return true;
}

// What a program must not do: the packed weights would reach an op that takes them for floats.
extern "C" bool BeexRegisterHalf(PythonOpsResolver* resolver) {
  return Register(resolver, tflite::micro::Register_LCE_DEQUANTIZE_PACKED());
}
