// A restricted reader of Python pickles: it rebuilds dicts, lists, tuples, scalars and torch tensors, and nothing else. No
// code that a file names ever runs: the globals and opcodes it knows are a fixed list, every other is refused by name.
// Format: CPython Lib/pickletools.py, protocol 2; torch/_utils.py for the arguments of _rebuild_tensor_v2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace moecap::trace {

using PickleRef = uint32_t;  // of a node in its Pickle; objects may share nodes, and form cycles

struct PickleNone {};
struct PickleList {
  std::vector<PickleRef> items;
};
struct PickleTuple {
  std::vector<PickleRef> items;
};
struct PickleDict {
  std::vector<std::pair<PickleRef, PickleRef>> items;
};
// A global of the list below, not yet called.
struct PickleGlobal {
  std::string_view name;
};
// A typed storage that lies beside the pickle under `key`.
struct PickleStorage {
  std::string key;
  std::string_view type;  // "IntStorage", ...
  int64_t elements = 0;
};
struct PickleTensor {
  PickleStorage storage;
  int64_t offset = 0;  // in elements
  std::vector<int64_t> sizes, strides;
};
using PickleValue = std::variant<PickleNone, bool, int64_t, double, std::string, PickleList, PickleTuple, PickleDict,
                                 PickleGlobal, PickleStorage, PickleTensor>;

class Pickle {
 public:
  // Error kBadInput: an opcode or global that is not needed for tensors, dicts, lists and scalars (by name), or damage. Memory
  // is at most a multiple of the file's size.
  static Result<Pickle> Parse(std::span<const std::byte> bytes);

  const PickleValue& root() const { return nodes_[root_]; }
  const PickleValue& At(PickleRef ref) const { return nodes_[ref]; }
  // The value of a text key; null when it is not there.
  const PickleValue* Find(const PickleDict& dict, std::string_view key) const;

 private:
  friend class Unpickler;
  std::vector<PickleValue> nodes_;
  PickleRef root_ = 0;
};

}  // namespace moecap::trace
