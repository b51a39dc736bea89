// Files of torch.save: a ZIP with a pickle (pickle.h) and one entry per tensor storage.
// Format: torch/serialization.py and caffe2/serialize/inline_container.h (entries `<stem>/data.pkl`, `<stem>/data/<key>`,
// `<stem>/byteorder`).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/pickle.h"

namespace moecap::trace {

// Integers of a tensor, wherever they lie in its storage.
class IntTensor {
 public:
  IntTensor() = default;
  const std::vector<int64_t>& sizes() const { return sizes_; }
  int64_t size(size_t dimension) const { return sizes_[dimension]; }

  // Requires one index per dimension, each in its range.
  int64_t At(int64_t i) const { return Element(offset_ + i * strides_[0]); }
  int64_t At(int64_t i, int64_t j) const { return Element(offset_ + i * strides_[0] + j * strides_[1]); }
  int64_t At(int64_t i, int64_t j, int64_t k) const {
    return Element(offset_ + i * strides_[0] + j * strides_[1] + k * strides_[2]);
  }

 private:
  friend class TorchFile;
  int64_t Element(int64_t index) const;

  std::span<const std::byte> storage_;
  int width_ = 4;  // bytes of an element; 1 is unsigned unless signed_
  bool signed_ = true;
  int64_t offset_ = 0;
  std::vector<int64_t> sizes_, strides_;
};

class TorchFile {
 public:
  // `bytes` must outlive the object. Error kBadInput: not such a file, damage, or a pickle that wants more than data.
  static Result<TorchFile> Parse(std::span<const std::byte> bytes);

  const Pickle& pickle() const { return pickle_; }
  // A tensor of `dimensions` dimensions with integers. Error kBadInput: another shape or type, or a view that leaves its
  // storage or shows more elements than it has.
  Result<IntTensor> Ints(const PickleValue& value, size_t dimensions, const std::string& what) const;

 private:
  Pickle pickle_;
  std::map<std::string, std::span<const std::byte>, std::less<>> storages_;
};

}  // namespace moecap::trace
