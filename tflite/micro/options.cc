#include "options.h"

namespace tflite {
namespace micro {
namespace {

// Types of values, as the encoding numbers them; in a packed type they stand above two bits for the
// width of what is within.
constexpr unsigned kInt = 1, kUnsigned = 2, kMap = 9, kBool = 26;

size_t Width(unsigned packed_type) { return size_t{1} << (packed_type & 3); }

}  // namespace

// A map ends with its root, the root's type and the root's width:
//
//     ... [distance of names] [width of names] [count] values ... types ... [root] type width
Options::Options(const char* data, size_t size)
    : data_(reinterpret_cast<const uint8_t*>(data)), size_(size) {
  if (data == nullptr || size < 3) return;
  const size_t root_width = data_[size - 1];
  const unsigned type = data_[size - 2];
  uint64_t count;
  if (type >> 2 != kMap || root_width > size - 2) return;
  if (!Follow(size - 2 - root_width, root_width, &values_)) return;
  width_ = Width(type);
  if (values_ < 3 * width_ || !Read(values_ - width_, width_, &count)) return;
  if (count > (size - values_) / (width_ + 1)) return;
  count_ = static_cast<size_t>(count);
}

bool Options::Find(const char* name, int32_t* value) const {
  if (count_ == 0) return false;
  size_t names;
  uint64_t names_width;
  if (!Follow(values_ - 3 * width_, width_, &names) ||
      !Read(values_ - 2 * width_, width_, &names_width) || names_width > 8) {
    return false;
  }
  for (size_t i = 0; i < count_; i++) {
    size_t place;
    if (!Follow(names + i * names_width, static_cast<size_t>(names_width), &place)) return false;
    if (!IsName(place, name)) continue;
    const unsigned type = data_[values_ + count_ * width_ + i] >> 2;
    uint64_t number;
    if (type != kInt && type != kUnsigned && type != kBool) return false;
    if (!Read(values_ + i * width_, width_, &number)) return false;
    // The sign of a number that is narrower than 64 bits.
    const unsigned unused = 64 - 8 * static_cast<unsigned>(width_);
    const int64_t wide = type == kInt ? static_cast<int64_t>(number << unused) >> unused
                                      : static_cast<int64_t>(number);
    if (wide < INT32_MIN || wide > INT32_MAX) return false;
    *value = static_cast<int32_t>(wide);
    return true;
  }
  return false;
}

bool Options::Read(size_t place, size_t width, uint64_t* number) const {
  if (width != 1 && width != 2 && width != 4 && width != 8) return false;
  if (place > size_ || width > size_ - place) return false;
  *number = 0;
  for (size_t i = 0; i < width; i++) *number |= uint64_t{data_[place + i]} << (8 * i);
  return true;
}

bool Options::Follow(size_t place, size_t width, size_t* target) const {
  uint64_t distance;
  if (!Read(place, width, &distance) || distance > place) return false;
  *target = place - static_cast<size_t>(distance);
  return true;
}

bool Options::IsName(size_t place, const char* name) const {
  for (; place < size_; place++, name++) {
    if (data_[place] != static_cast<uint8_t>(*name)) return false;
    if (*name == '\0') return true;
  }
  return false;
}

}  // namespace micro
}  // namespace tflite
