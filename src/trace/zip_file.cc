#include "trace/zip_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace moecap::trace {
namespace {

static_assert(std::endian::native == std::endian::little, "ZIP figures are read as they lie in memory");

constexpr uint32_t kEndRecord = 0x06054b50, kEnd64Record = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50, kLocalEntry = 0x04034b50;
constexpr size_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56, kDirectoryBytes = 46, kLocalBytes = 30;
constexpr uint64_t kMostEntries = uint64_t{1} << 22;

// A bounds-checked look into the archive; what lies outside reads as 0 and sets `outside`.
class Window {
 public:
  explicit Window(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T Get(uint64_t at) {
    T value{};
    if (at > bytes_.size() || bytes_.size() - at < sizeof(T)) {
      outside = true;
    } else {
      std::memcpy(&value, bytes_.data() + at, sizeof(T));
    }
    return value;
  }
  std::span<const std::byte> Slice(uint64_t at, uint64_t size) {
    if (at <= bytes_.size() && size <= bytes_.size() - at) return bytes_.subspan(at, size);
    outside = true;
    return {};
  }

  bool outside = false;

 private:
  std::span<const std::byte> bytes_;
};

struct Directory {
  uint64_t at = 0, entries = 0;
};

Result<Directory> FindDirectory(std::span<const std::byte> bytes) {
  Window in(bytes);
  const Error not_zip = BadInput("not a ZIP archive, or its end is cut off");
  if (bytes.size() < kEndBytes) return not_zip;
  const size_t lowest = bytes.size() - std::min<size_t>(bytes.size(), kEndBytes + 0xffff);
  size_t end = bytes.size() - kEndBytes;
  while (in.Get<uint32_t>(end) != kEndRecord) {
    if (end == lowest) return not_zip;
    --end;
  }
  Directory directory{in.Get<uint32_t>(end + 16), in.Get<uint16_t>(end + 10)};
  if (end >= kLocatorBytes && in.Get<uint32_t>(end - kLocatorBytes) == kEnd64Locator) {
    const auto record = in.Get<uint64_t>(end - kLocatorBytes + 8);
    if (record > bytes.size() - std::min(bytes.size(), kEnd64Bytes) || in.Get<uint32_t>(record) != kEnd64Record) return not_zip;
    directory = {in.Get<uint64_t>(record + 48), in.Get<uint64_t>(record + 32)};
  }
  if (directory.entries > kMostEntries || directory.at > bytes.size()) return BadInput("the ZIP directory is damaged");
  return directory;
}

struct Sizes {
  uint64_t stored = 0, raw = 0, local = 0;
};

// The ZIP64 extra field holds, in this order, those of raw size, stored size and place that are 0xffffffff in the entry.
void ReadZip64(Window& in, uint64_t extra, uint64_t extra_bytes, Sizes& sizes) {
  const uint64_t end = extra + extra_bytes;
  while (extra + 4 <= end && !in.outside) {
    const auto id = in.Get<uint16_t>(extra);
    const auto size = in.Get<uint16_t>(extra + 2);
    if (id == 1) {
      uint64_t at = extra + 4;
      for (uint64_t* field : {&sizes.raw, &sizes.stored, &sizes.local}) {
        if (*field != 0xffffffff) continue;
        *field = in.Get<uint64_t>(at);
        at += 8;
      }
      return;
    }
    extra += 4 + uint64_t{size};
  }
}

// Nothing deflates further.
constexpr uint64_t kMostRatio = 1032;

Status Unpack(std::span<const std::byte> stored, uint64_t raw, ZipEntry& entry) {
  const Error damaged = BadInput(fmt::format("the entry '{}' is damaged", entry.name));
  if (raw > kMostRatio * (stored.size() + 1)) return damaged;
  entry.unpacked = std::make_shared<std::vector<std::byte>>(raw + 1);  // never empty
  z_stream stream = {};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(entry.unpacked->data());
  stream.avail_out = static_cast<uInt>(entry.unpacked->size());
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return BadInput("no memory to unpack");
  const int ended = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (ended != Z_STREAM_END || stream.total_out != raw) return damaged;
  entry.data = std::span<const std::byte>(*entry.unpacked).first(raw);
  return {};
}

Result<std::vector<ZipEntry>> ListEntries(std::span<const std::byte> bytes, uint64_t most_unpacked) {
  ASSIGN_OR_RETURN(const Directory directory, FindDirectory(bytes));
  Window in(bytes);
  std::vector<ZipEntry> entries;
  uint64_t at = directory.at;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (in.Get<uint32_t>(at) != kDirectoryEntry) return BadInput("the ZIP directory is damaged");
    const auto flags = in.Get<uint16_t>(at + 8);
    const auto method = in.Get<uint16_t>(at + 10);
    Sizes sizes{in.Get<uint32_t>(at + 20), in.Get<uint32_t>(at + 24), in.Get<uint32_t>(at + 42)};
    const auto name_bytes = in.Get<uint16_t>(at + 28);
    const auto extra_bytes = in.Get<uint16_t>(at + 30);
    const auto comment_bytes = in.Get<uint16_t>(at + 32);
    const auto name = in.Slice(at + kDirectoryBytes, name_bytes);
    ReadZip64(in, at + kDirectoryBytes + name_bytes, extra_bytes, sizes);
    ZipEntry entry;
    entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    if (in.outside) return BadInput("the ZIP directory is cut off");
    const bool deflated = method == 8 && most_unpacked > 0;
    if (!deflated && (method != 0 || sizes.stored != sizes.raw))
      return BadInput(fmt::format(
          "the entry '{}' is compressed; store it, as torch.save and numpy.savez do (not savez_compressed)", entry.name));
    if (flags & 1) return BadInput(fmt::format("the entry '{}' is encrypted", entry.name));
    // The local entry repeats the name and has an extra field of its own length (torch aligns the data with it).
    const uint64_t local = sizes.local;
    if (local > bytes.size() || in.Get<uint32_t>(local) != kLocalEntry)
      return BadInput(fmt::format("the entry '{}' is damaged", entry.name));
    const uint64_t data = local + kLocalBytes + in.Get<uint16_t>(local + 26) + in.Get<uint16_t>(local + 28);
    entry.data = in.Slice(data, sizes.stored);
    if (in.outside) return BadInput(fmt::format("the entry '{}' is cut off", entry.name));
    if (deflated) {
      if (sizes.raw > most_unpacked)
        return BadInput(fmt::format("the entry '{}' is too large: unpack the archive and give its files", entry.name));
      most_unpacked -= sizes.raw;
      RETURN_IF_ERROR(Unpack(entry.data, sizes.raw, entry));
    }
    entries.push_back(std::move(entry));
    at += kDirectoryBytes + uint64_t{name_bytes} + extra_bytes + comment_bytes;
  }
  return entries;
}

}  // namespace

Result<std::vector<ZipEntry>> ListStoredZip(std::span<const std::byte> bytes) { return ListEntries(bytes, 0); }

Result<std::vector<ZipEntry>> ListZip(std::span<const std::byte> bytes) { return ListEntries(bytes, kMostUnpackedBytes); }

}  // namespace moecap::trace
