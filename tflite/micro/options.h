// The attributes of an op of Larq Compute Engine: a map of whole numbers, encoded as FlexBuffers do.
#ifndef BEEX_MICRO_OPTIONS_H
#define BEEX_MICRO_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

namespace tflite {
namespace micro {

class Options {
 public:
  // The data is read where it lies, and never beyond its end.
  Options(const char* data, size_t size);

  // Whether there is a whole number of that name, which is then in *value.
  bool Find(const char* name, int32_t* value) const;

 private:
  // A number of 1, 2, 4 or 8 bytes at a place; false if it is not all within the data.
  bool Read(size_t place, size_t width, uint64_t* number) const;
  // The place that is given at `place` by its distance backwards.
  bool Follow(size_t place, size_t width, size_t* target) const;
  bool IsName(size_t place, const char* name) const;

  const uint8_t* data_;
  size_t size_;
  // The map: where its values start, how wide each is, how many there are. None in a damaged one.
  size_t values_ = 0;
  size_t width_ = 0;
  size_t count_ = 0;
};

}  // namespace micro
}  // namespace tflite

#endif
