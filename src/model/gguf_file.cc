#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "model/gguf.h"
#include "model/gguf_spec.h"

namespace moecap::model {
namespace {
namespace fs = std::filesystem;

constexpr size_t kFirstPrefixBytes = size_t{4} << 20;

Result<uint64_t> FileSize(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return BadInput(fmt::format("{}: a folder, not a GGUF file", path.string()));
  const uint64_t size = fs::file_size(path, code);
  if (code) return BadInput(fmt::format("cannot open {}: {}", path.string(), code.message()));
  return size;
}

// Reads a growing prefix until the header is whole. Only a header that really is that long is read beyond the first step.
Result<GgufFile> ReadOneHeader(const fs::path& path, uint64_t size) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return BadInput(fmt::format("cannot open {}", path.string()));
  std::vector<std::byte> prefix;
  for (uint64_t want = kFirstPrefixBytes;; want *= 4) {
    const uint64_t length = std::min(want, size);
    const size_t had = prefix.size();
    prefix.resize(length);
    in.read(reinterpret_cast<char*>(prefix.data() + had), static_cast<std::streamsize>(length - had));
    if (static_cast<uint64_t>(in.gcount()) != length - had) return BadInput(fmt::format("cannot read {}", path.string()));
    Result<std::optional<GgufFile>> parsed = ParseGgufPrefix(prefix);
    if (!parsed.ok()) return Annotate(path.string(), parsed.error());
    if (parsed->has_value()) return **std::move(parsed);
    if (length == size) {
      return BadInput(fmt::format("{}: cut off inside its header ({} bytes). Download it again.", path.string(), size));
    }
  }
}

Status CheckComplete(const fs::path& path, const GgufFile& file, uint64_t size) {
  if (size >= file.file_bytes) return {};
  int64_t missing = 0;
  const GgufTensor* first = nullptr;
  for (const GgufTensor& tensor : file.tensors) {
    if (file.data_offset + tensor.offset + static_cast<uint64_t>(tensor.bytes) <= size) continue;
    ++missing;
    if (first == nullptr || tensor.offset < first->offset) first = &tensor;
  }
  return BadInput(
      fmt::format("{}: cut off: {} bytes of {}; {} of {} tensors are missing or incomplete, the first is '{}'. "
                  "Download it again.",
                  path.string(), size, file.file_bytes, missing, file.tensors.size(), first == nullptr ? "" : first->name));
}

Result<GgufFile> ReadCheckedHeader(const fs::path& path) {
  ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  ASSIGN_OR_RETURN(GgufFile file, ReadOneHeader(path, size));
  RETURN_IF_ERROR(CheckComplete(path, file, size));
  return file;
}

}  // namespace

Result<GgufFile> ReadGgufHeader(const fs::path& path) {
  ASSIGN_OR_RETURN(GgufFile file, ReadCheckedHeader(path));
  const int64_t parts = file.Int("split.count").value_or(1);
  if (parts <= 1) return file;
  const std::string name = path.filename().string();
  const std::string suffix = fmt::format("-of-{:05}.gguf", parts);
  const std::string first = "-00001" + suffix;
  if (parts > 99999 || !name.ends_with(first)) {
    return BadInput(fmt::format("{}: part of a split model; name its first part, which ends in '{}'", path.string(), first));
  }
  for (int64_t part = 2; part <= parts; ++part) {
    const std::string part_name = name.substr(0, name.size() - first.size()) + fmt::format("-{:05}{}", part, suffix);
    ASSIGN_OR_RETURN(GgufFile more, ReadCheckedHeader(path.parent_path() / part_name));
    for (GgufTensor& tensor : more.tensors) file.tensors.push_back(std::move(tensor));
  }
  if (const auto whole = file.Int("split.tensors.count"); whole && *whole != static_cast<int64_t>(file.tensors.size())) {
    return BadInput(fmt::format("{}: its parts hold {} tensors, {} were announced. Download it again.", path.string(),
                                file.tensors.size(), *whole));
  }
  return file;
}

Result<ModelSpec> ReadGgufSpec(const fs::path& path) {
  ASSIGN_OR_RETURN(const GgufFile file, ReadGgufHeader(path));
  Result<ModelSpec> spec = SpecFromGguf(file);
  if (!spec.ok()) return Annotate(path.string(), spec.error());
  spec->id = path.filename().string();
  return spec;
}

}  // namespace moecap::model
