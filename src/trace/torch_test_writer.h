// Writes small files of torch.save for tests: a ZIP of stored entries and a pickle of protocol 2, with the opcodes and memo
// numbers that CPython's pickler gives, independently of the reader.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace moecap::trace {

template <typename T>
std::string RawBytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

class ZipTestWriter {
 public:
  void Add(const std::string& name, const std::string& data, uint16_t method = 0, uint16_t flags = 0) {
    const auto size = static_cast<uint32_t>(data.size());
    const std::string padding(13, 'Z');  // torch aligns the data with an extra field
    const std::string extra = RawBytes(uint16_t{0x4246}) + RawBytes(static_cast<uint16_t>(padding.size())) + padding;
    directory_ += RawBytes(uint32_t{0x02014b50}) + RawBytes(uint32_t{0}) + RawBytes(flags) + RawBytes(method) +
                  RawBytes(uint32_t{0}) + RawBytes(uint32_t{0}) + RawBytes(size) + RawBytes(size) +
                  RawBytes(static_cast<uint16_t>(name.size())) + RawBytes(uint16_t{0}) + RawBytes(uint16_t{0}) +
                  RawBytes(uint64_t{0}) + RawBytes(static_cast<uint32_t>(body_.size())) + name;
    body_ += RawBytes(uint32_t{0x04034b50}) + RawBytes(uint16_t{0}) + RawBytes(flags) + RawBytes(method) +
             RawBytes(uint32_t{0}) + RawBytes(uint32_t{0}) + RawBytes(size) + RawBytes(size) +
             RawBytes(static_cast<uint16_t>(name.size())) + RawBytes(static_cast<uint16_t>(extra.size())) + name + extra + data;
    ++entries_;
  }
  std::string File(bool zip64 = false) const {
    std::string file = body_ + directory_;
    const auto at = static_cast<uint32_t>(body_.size());
    const auto size = static_cast<uint32_t>(directory_.size());
    if (zip64) {
      const uint64_t record = file.size();
      file += RawBytes(uint32_t{0x06064b50}) + RawBytes(uint64_t{44}) + RawBytes(uint32_t{0}) + RawBytes(uint64_t{0}) +
              RawBytes(uint64_t{entries_}) + RawBytes(uint64_t{entries_}) + RawBytes(uint64_t{size}) + RawBytes(uint64_t{at});
      file += RawBytes(uint32_t{0x07064b50}) + RawBytes(uint32_t{0}) + RawBytes(record) + RawBytes(uint32_t{1});
    }
    const uint16_t count = zip64 ? uint16_t{0xffff} : entries_;
    return file + RawBytes(uint32_t{0x06054b50}) + RawBytes(uint32_t{0}) + RawBytes(count) + RawBytes(count) + RawBytes(size) +
           RawBytes(zip64 ? uint32_t{0xffffffff} : at) + RawBytes(uint16_t{0});
  }

 private:
  std::string body_, directory_;
  uint16_t entries_ = 0;
};

// Builds pickle text bottom-up: every function returns the opcodes that leave one object on the stack.
class TorchTestWriter {
 public:
  static std::string Int(int64_t value) {
    if (value >= 0 && value < 256) return "K" + RawBytes(static_cast<uint8_t>(value));
    return "J" + RawBytes(static_cast<int32_t>(value));
  }
  std::string Text(const std::string& text) { return "X" + RawBytes(static_cast<uint32_t>(text.size())) + text + Put(); }
  static std::string None() { return "N"; }
  std::string List(const std::vector<std::string>& items) {
    std::string out = "]" + Put();
    if (items.empty()) return out;
    out += "(";
    for (const auto& item : items) out += item;
    return out + "e";
  }
  std::string Dict(const std::vector<std::pair<std::string, std::string>>& items) {
    std::string out = "}" + Put() + "(";
    for (const auto& [key, value] : items) out += Text(key) + value;
    return out + "u";
  }

  // A tensor of little-endian integers in its own storage.
  template <typename T>
  std::string Tensor(const std::vector<T>& values, const std::vector<int64_t>& sizes) {
    std::vector<int64_t> strides(sizes.size(), 1);
    for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
    return View(values, sizes, strides, 0);
  }
  template <typename T>
  std::string View(const std::vector<T>& values, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                   int64_t offset) {
    const std::string key = std::to_string(storages_.size());
    std::string raw;
    for (const T value : values) raw += RawBytes(value);
    storages_.push_back(raw);
    const std::string type = sizeof(T) == 8   ? "LongStorage"
                             : sizeof(T) == 4 ? "IntStorage"
                             : sizeof(T) == 2 ? "ShortStorage"
                                              : "ByteStorage";
    const std::string storage = "(" + Text("storage") + "ctorch\n" + type + "\n" + Put() + Text(key) + Text("cuda:0") +
                                Int(static_cast<int64_t>(values.size())) + "t" + Put() + "Q";
    return "ctorch._utils\n_rebuild_tensor_v2\n" + Put() + "(" + storage + Int(offset) + Tuple(sizes) + Tuple(strides) +
           "\x89" + "ccollections\nOrderedDict\n" + Put() + ")R" + Put() + "t" + Put() + "R" + Put();
  }

  // The file whose root is `object`.
  std::string File(const std::string& object) const {
    ZipTestWriter zip;
    zip.Add("archive/data.pkl", "\x80\x02" + object + ".");
    zip.Add("archive/byteorder", "little");
    for (size_t i = 0; i < storages_.size(); ++i) zip.Add("archive/data/" + std::to_string(i), storages_[i]);
    zip.Add("archive/version", "3\n");
    return zip.File();
  }

 private:
  std::string Tuple(const std::vector<int64_t>& values) {
    std::string out;
    for (const int64_t value : values) out += Int(value);
    if (values.size() == 1) return out + "\x85" + Put();
    if (values.size() == 2) return out + "\x86" + Put();
    if (values.size() == 3) return out + "\x87" + Put();
    return "(" + out + "t" + Put();
  }
  std::string Put() {
    const uint32_t index = memo_++;
    return index < 256 ? "q" + RawBytes(static_cast<uint8_t>(index)) : "r" + RawBytes(index);
  }

  uint32_t memo_ = 0;
  std::vector<std::string> storages_;
};

}  // namespace moecap::trace
