#include "trace/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_map>

namespace moecap::trace {
namespace {

constexpr size_t kMostNodes = size_t{1} << 23;
constexpr size_t kMostKeyBytes = 64;  // every use of a storage copies its key

// "module name" of everything that may be named. The storages stand for element types.
constexpr std::string_view kRebuildTensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::string_view kTorch = "torch ";
constexpr std::array<std::string_view, 12> kGlobals = {
    kRebuildTensor,       kOrderedDict,          "torch IntStorage",      "torch LongStorage",
    "torch ShortStorage", "torch ByteStorage",   "torch CharStorage",     "torch BoolStorage",
    "torch FloatStorage", "torch DoubleStorage", "torch BFloat16Storage", "torch HalfStorage"};

struct Opcode {
  uint8_t code;
  std::string_view name;
};
// Names for refusals; what is not here is named by its number.
constexpr std::array kRefused = {Opcode{'b', "BUILD"},
                                 Opcode{'i', "INST"},
                                 Opcode{'o', "OBJ"},
                                 Opcode{0x81, "NEWOBJ"},
                                 Opcode{0x92, "NEWOBJ_EX"},
                                 Opcode{0x93, "STACK_GLOBAL"},
                                 Opcode{0x82, "EXT1"},
                                 Opcode{0x83, "EXT2"},
                                 Opcode{0x84, "EXT4"},
                                 Opcode{'P', "PERSID"},
                                 Opcode{0x95, "FRAME"},
                                 Opcode{0x94, "MEMOIZE"},
                                 Opcode{0x8b, "LONG4"},
                                 Opcode{'S', "STRING"},
                                 Opcode{'T', "BINSTRING"},
                                 Opcode{'U', "SHORT_BINSTRING"},
                                 Opcode{'B', "BINBYTES"},
                                 Opcode{'C', "SHORT_BINBYTES"},
                                 Opcode{0x8c, "SHORT_BINUNICODE"},
                                 Opcode{0x8f, "EMPTY_SET"},
                                 Opcode{0x97, "NEXT_BUFFER"},
                                 Opcode{0x96, "BYTEARRAY8"}};

std::string OpcodeName(uint8_t code) {
  for (const Opcode& opcode : kRefused) {
    if (opcode.code == code) return fmt::format("{} (0x{:02x})", opcode.name, code);
  }
  return fmt::format("0x{:02x}", code);
}

}  // namespace

class Unpickler {
 public:
  explicit Unpickler(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<Pickle> Run() {
    for (;;) {
      uint8_t code = 0;
      if (!Read(code)) return Damaged();
      if (code == '.') break;
      RETURN_IF_ERROR(Step(code));
      if (pickle_.nodes_.size() > kMostNodes) return BadInput(fmt::format("the pickle has more than {} objects", kMostNodes));
    }
    if (stack_.size() != 1 || !marks_.empty()) return Damaged();
    pickle_.root_ = stack_.back();
    return std::move(pickle_);
  }

 private:
  Error Damaged() const { return BadInput(fmt::format("the pickle is damaged or cut off at byte {}", at_)); }

  template <typename T>
  bool Read(T& value) {
    if (bytes_.size() - at_ < sizeof(T)) return false;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }
  bool ReadText(uint64_t size, std::string& text) {
    if (size > bytes_.size() - at_) return false;
    text.assign(reinterpret_cast<const char*>(bytes_.data()) + at_, size);
    at_ += size;
    return true;
  }
  bool ReadLine(std::string& text) {
    const auto rest = bytes_.subspan(at_);
    const auto end = std::ranges::find(rest, std::byte{'\n'});
    if (end == rest.end() || end - rest.begin() > 4096 || !ReadText(static_cast<uint64_t>(end - rest.begin()), text))
      return false;
    ++at_;
    return true;
  }

  Status Push(PickleValue value) {
    pickle_.nodes_.push_back(std::move(value));
    stack_.push_back(static_cast<PickleRef>(pickle_.nodes_.size() - 1));
    return {};
  }
  // The `count` topmost entries, which must lie above the last mark.
  bool Take(size_t count, std::vector<PickleRef>& items) {
    if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count) return false;
    items.assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return true;
  }
  bool TakeToMark(std::vector<PickleRef>& items) {
    if (marks_.empty()) return false;
    items.assign(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return true;
  }
  template <typename T>
  T* Top() {
    return stack_.empty() || stack_.size() == (marks_.empty() ? 0 : marks_.back())
               ? nullptr
               : std::get_if<T>(&pickle_.nodes_[stack_.back()]);
  }

  Status Step(uint8_t code) {
    switch (code) {
      case 0x80: {  // PROTO
        uint8_t version = 0;
        if (!Read(version)) return Damaged();
        return version <= 2 ? Status()
                            : Status(BadInput(fmt::format("pickle protocol {}; torch.save writes protocol 2", version)));
      }
      case '(':
        marks_.push_back(stack_.size());
        return {};
      case 'N':
        return Push(PickleNone{});
      case 0x88:
        return Push(true);
      case 0x89:
        return Push(false);
      case ')':
        return Push(PickleTuple{});
      case ']':
        return Push(PickleList{});
      case '}':
        return Push(PickleDict{});
      case 'c':
        return Global();
      case 'Q':
        return PersistentId();
      case 'R':
        return Reduce();
      case '0':
        return Pop();
      default:
        return code == 'q' || code == 'r' || code == 'h' || code == 'j' ? Memo(code) : ScalarOrContainer(code);
    }
  }

  Status ScalarOrContainer(uint8_t code) {
    switch (code) {
      case 'K':
        return Integer<uint8_t>();
      case 'M':
        return Integer<uint16_t>();
      case 'J':
        return Integer<int32_t>();
      case 0x8a:
        return Long();
      case 'G': {
        uint64_t bits = 0;
        return Read(bits) ? Push(std::bit_cast<double>(__builtin_bswap64(bits))) : Status(Damaged());
      }
      case 'X': {
        uint32_t size = 0;
        std::string text;
        return Read(size) && ReadText(size, text) ? Push(std::move(text)) : Status(Damaged());
      }
      case 't':
      case 0x85:
      case 0x86:
      case 0x87: {
        PickleTuple tuple;
        const bool taken = code == 't' ? TakeToMark(tuple.items) : Take(code - 0x84u, tuple.items);
        return taken ? Push(std::move(tuple)) : Status(Damaged());
      }
      case 'a':
      case 'e':
      case 's':
      case 'u':
        return Extend(code);
      default:
        return BadInput(fmt::format("the pickle uses the opcode {}, which no recorder needs; refused", OpcodeName(code)));
    }
  }

  template <typename T>
  Status Integer() {
    T value = 0;
    return Read(value) ? Push(static_cast<int64_t>(value)) : Status(Damaged());
  }

  // LONG1: little-endian two's complement of a given length.
  Status Long() {
    uint8_t size = 0;
    std::string digits;
    if (!Read(size) || !ReadText(size, digits)) return Damaged();
    if (size > 8) return BadInput(fmt::format("the pickle holds an integer of {} bytes", size));
    uint64_t value = size > 0 && (digits.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    return Push(static_cast<int64_t>(value));
  }

  Status Pop() {
    std::vector<PickleRef> ignored;
    return Take(1, ignored) ? Status() : Status(Damaged());
  }

  Status Memo(uint8_t code) {
    uint8_t narrow = 0;
    uint32_t index = 0;
    if (!(code == 'q' || code == 'h' ? Read(narrow) : Read(index))) return Damaged();
    if (code == 'q' || code == 'h') index = narrow;
    if (code == 'q' || code == 'r') {
      if (stack_.empty()) return Damaged();
      memo_[index] = stack_.back();
      return {};
    }
    const auto found = memo_.find(index);
    if (found == memo_.end()) return Damaged();
    stack_.push_back(found->second);
    return {};
  }

  Status Extend(uint8_t code) {
    std::vector<PickleRef> items;
    if (!(code == 'a' ? Take(1, items) : code == 's' ? Take(2, items) : TakeToMark(items))) return Damaged();
    if (code == 'a' || code == 'e') {
      auto* list = Top<PickleList>();
      if (list == nullptr) return Damaged();
      list->items.insert(list->items.end(), items.begin(), items.end());
      return {};
    }
    auto* dict = Top<PickleDict>();
    if (dict == nullptr || items.size() % 2 != 0) return Damaged();
    for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
    return {};
  }

  Status Global() {
    std::string module, name;
    if (!ReadLine(module) || !ReadLine(name)) return Damaged();
    const std::string full = module + " " + name;
    const auto found = std::ranges::find(kGlobals, full);
    if (found == kGlobals.end())
      return BadInput(fmt::format("the pickle names {}.{}, which is not a tensor, dict or list; refused", module, name));
    return Push(PickleGlobal{*found});
  }

  template <typename T>
  const T* Item(const PickleTuple& tuple, size_t index) const {
    return index < tuple.items.size() ? std::get_if<T>(&pickle_.nodes_[tuple.items[index]]) : nullptr;
  }

  // ("storage", type, key, location, elements)
  Status PersistentId() {
    std::vector<PickleRef> top;
    if (!Take(1, top)) return Damaged();
    const auto* id = std::get_if<PickleTuple>(&pickle_.nodes_[top[0]]);
    if (id == nullptr || id->items.size() != 5) return Damaged();
    const auto* tag = Item<std::string>(*id, 0);
    const auto* type = Item<PickleGlobal>(*id, 1);
    const auto* key = Item<std::string>(*id, 2);
    const auto* elements = Item<int64_t>(*id, 4);
    if (tag == nullptr || *tag != "storage" || type == nullptr || !type->name.starts_with(kTorch) || key == nullptr ||
        elements == nullptr || *elements < 0 || key->size() > kMostKeyBytes) {
      return Damaged();
    }
    return Push(PickleStorage{*key, type->name.substr(kTorch.size()), *elements});
  }

  bool Integers(const PickleTuple& arguments, size_t index, std::vector<int64_t>& values) const {
    const auto* tuple = Item<PickleTuple>(arguments, index);
    if (tuple == nullptr || tuple->items.size() > 16) return false;
    for (size_t i = 0; i < tuple->items.size(); ++i) {
      const auto* value = Item<int64_t>(*tuple, i);
      if (value == nullptr) return false;
      values.push_back(*value);
    }
    return true;
  }

  // Two calls are known: _rebuild_tensor_v2(storage, offset, size, stride, ...) and OrderedDict().
  Status Reduce() {
    std::vector<PickleRef> top;
    if (!Take(2, top)) return Damaged();
    const auto* function = std::get_if<PickleGlobal>(&pickle_.nodes_[top[0]]);
    const auto* arguments = std::get_if<PickleTuple>(&pickle_.nodes_[top[1]]);
    if (function == nullptr || arguments == nullptr) return Damaged();
    if (function->name == kOrderedDict && arguments->items.empty()) return Push(PickleDict{});
    if (function->name != kRebuildTensor) return BadInput(fmt::format("the pickle calls {}; refused", function->name));
    const auto* storage = Item<PickleStorage>(*arguments, 0);
    const auto* offset = Item<int64_t>(*arguments, 1);
    PickleTensor tensor;
    if (storage == nullptr || offset == nullptr || !Integers(*arguments, 2, tensor.sizes) ||
        !Integers(*arguments, 3, tensor.strides)) {
      return Damaged();
    }
    tensor.storage = *storage;
    tensor.offset = *offset;
    return Push(std::move(tensor));
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleRef> memo_;
};

Result<Pickle> Pickle::Parse(std::span<const std::byte> bytes) { return Unpickler(bytes).Run(); }

const PickleValue* Pickle::Find(const PickleDict& dict, std::string_view key) const {
  // The last one wins, as in Python.
  for (auto item = dict.items.rbegin(); item != dict.items.rend(); ++item) {
    const auto* name = std::get_if<std::string>(&nodes_[item->first]);
    if (name != nullptr && *name == key) return &nodes_[item->second];
  }
  return nullptr;
}

}  // namespace moecap::trace
