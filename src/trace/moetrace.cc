#include "trace/moetrace.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/check.h"
#include "trace/codec.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "figures are written as they lie in memory");

constexpr size_t kFileHeadBytes = 12;
constexpr size_t kFrameHeadBytes = 24;
constexpr size_t kCheckedHeadBytes = 16;  // the part of a frame's head before the checksum
constexpr size_t kFrameTarget = size_t{1} << 20;
constexpr uint32_t kMostFrameBytes = uint32_t{1} << 28;
constexpr int kZstdLevel = 3;
enum FrameType : uint8_t { kHeaderFrame = 1, kPassFrame = 2 };

struct FrameHead {
  uint8_t type = 0;
  uint32_t passes = 0;
  uint32_t stored_bytes = 0;
  uint32_t raw_bytes = 0;
  uint64_t checksum = 0;
};

std::array<char, kFrameHeadBytes> ToBytes(const FrameHead& head) {
  std::array<char, kFrameHeadBytes> bytes{};
  bytes[0] = static_cast<char>(head.type);
  std::memcpy(bytes.data() + 4, &head.passes, 4);
  std::memcpy(bytes.data() + 8, &head.stored_bytes, 4);
  std::memcpy(bytes.data() + 12, &head.raw_bytes, 4);
  std::memcpy(bytes.data() + 16, &head.checksum, 8);
  return bytes;
}

FrameHead FromBytes(const std::array<char, kFrameHeadBytes>& bytes) {
  FrameHead head;
  head.type = static_cast<uint8_t>(bytes[0]);
  std::memcpy(&head.passes, bytes.data() + 4, 4);
  std::memcpy(&head.stored_bytes, bytes.data() + 8, 4);
  std::memcpy(&head.raw_bytes, bytes.data() + 12, 4);
  std::memcpy(&head.checksum, bytes.data() + 16, 8);
  return head;
}

uint64_t Checksum(const char* head, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), XXH3_64bits(head, kCheckedHeadBytes));
}

Error DiskError(const std::string& name) { return Failed(fmt::format("cannot write {}: {}", name, std::strerror(errno))); }

Status WriteFrame(std::FILE* file, const std::string& name, uint8_t type, uint32_t passes, const std::string& raw) {
  if (raw.size() > kMostFrameBytes)
    return BadInput(fmt::format("a pass of {} bytes is larger than a frame can be", raw.size()));
  std::string stored(ZSTD_compressBound(raw.size()), '\0');
  const size_t size = ZSTD_compress(stored.data(), stored.size(), raw.data(), raw.size(), kZstdLevel);
  if (ZSTD_isError(size)) return Failed(fmt::format("{}: its passes cannot be compressed", name));
  stored.resize(size);
  FrameHead head{type, passes, static_cast<uint32_t>(size), static_cast<uint32_t>(raw.size()), 0};
  head.checksum = Checksum(ToBytes(head).data(), stored);
  const auto bytes = ToBytes(head);
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fwrite(stored.data(), 1, size, file) != size) {
    return DiskError(name);
  }
  return {};
}

Result<internal::FilePtr> OpenFile(const fs::path& path, const char* mode) {
  internal::FilePtr file(std::fopen(path.c_str(), mode));
  if (!file) return BadInput(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  return file;
}

bool SameShape(const TraceHeader& a, const TraceHeader& b) {
  return a.grain == b.grain && a.experts == b.experts && a.top_k == b.top_k && a.layer_numbers == b.layer_numbers &&
         a.passes_known == b.passes_known;
}

}  // namespace

bool LooksLikeMoetrace(const fs::path& path) {
  const internal::FilePtr file(std::fopen(path.c_str(), "rb"));
  char magic[8] = {};
  return file && std::fread(magic, 1, sizeof magic, file.get()) == sizeof magic &&
         std::string_view(magic, sizeof magic) == kMoetraceMagic;
}

MoetraceWriter::MoetraceWriter(internal::FilePtr file, std::string name, TraceHeader header)
    : file_(std::move(file)), name_(std::move(name)), header_(std::move(header)) {}

Result<MoetraceWriter> MoetraceWriter::Create(const fs::path& path, const TraceHeader& header) {
  RETURN_IF_ERROR(CheckHeader(header));
  ASSIGN_OR_RETURN(internal::FilePtr file, OpenFile(path, "wb"));
  std::array<char, kFileHeadBytes> head{};
  std::memcpy(head.data(), kMoetraceMagic.data(), kMoetraceMagic.size());
  head[8] = static_cast<char>(kMoetraceVersion);
  if (std::fwrite(head.data(), 1, head.size(), file.get()) != head.size()) return DiskError(path.string());
  std::string raw;
  EncodeHeader(header, raw);
  RETURN_IF_ERROR(WriteFrame(file.get(), path.string(), kHeaderFrame, 0, raw));
  return MoetraceWriter(std::move(file), path.string(), header);
}

Result<MoetraceWriter> MoetraceWriter::Append(const fs::path& path, const TraceHeader& header) {
  uint64_t end = 0;
  {
    ASSIGN_OR_RETURN(const auto reader, MoetraceReader::Open(path));
    if (!SameShape(reader->header(), header))
      return BadInput(fmt::format("{} holds another kind of trace; write to a new file", path.string()));
    TracePass pass;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, reader->Next(pass));
      if (!more) break;
    }
    end = reader->end_of_frames();
  }
  ASSIGN_OR_RETURN(internal::FilePtr file, OpenFile(path, "r+b"));
  if (::ftruncate(::fileno(file.get()), static_cast<off_t>(end)) != 0 || ::fseeko(file.get(), 0, SEEK_END) != 0)
    return DiskError(path.string());
  return MoetraceWriter(std::move(file), path.string(), header);
}

Status MoetraceWriter::Write(const TracePass& pass) {
  CHECK(file_ != nullptr);
  RETURN_IF_ERROR(CheckPass(header_, pass));
  EncodePass(header_, pass, raw_);
  ++raw_passes_;
  return raw_.size() >= kFrameTarget ? FlushFrame() : Status();
}

Status MoetraceWriter::FlushFrame() {
  if (raw_passes_ == 0) return {};
  RETURN_IF_ERROR(WriteFrame(file_.get(), name_, kPassFrame, raw_passes_, raw_));
  raw_.clear();
  raw_passes_ = 0;
  return {};
}

Status MoetraceWriter::Close() {
  CHECK(file_ != nullptr);
  RETURN_IF_ERROR(FlushFrame());
  if (std::fclose(file_.release()) != 0) return DiskError(name_);
  return {};
}

Result<std::unique_ptr<MoetraceReader>> MoetraceReader::Open(const fs::path& path) {
  std::unique_ptr<MoetraceReader> reader(new MoetraceReader);
  reader->name_ = path.string();
  ASSIGN_OR_RETURN(reader->file_, OpenFile(path, "rb"));
  std::error_code code;
  reader->file_bytes_ = fs::file_size(path, code);
  if (code) return BadInput(fmt::format("cannot read {}: {}", path.string(), code.message()));
  std::array<char, kFileHeadBytes> head{};
  if (std::fread(head.data(), 1, head.size(), reader->file_.get()) != head.size() ||
      std::string_view(head.data(), kMoetraceMagic.size()) != kMoetraceMagic) {
    return BadInput(fmt::format("{}: not a .moetrace file", path.string()));
  }
  uint16_t version = 0;
  std::memcpy(&version, head.data() + 8, 2);
  if (version != kMoetraceVersion) {
    return BadInput(
        fmt::format("{}: .moetrace version {}; this program reads version {}", path.string(), version, kMoetraceVersion));
  }
  reader->at_ = kFileHeadBytes;
  ASSIGN_OR_RETURN(const bool found, reader->NextFrame(kHeaderFrame));
  if (!found) return BadInput(fmt::format("{}: cut off inside its header", path.string()));
  auto header = DecodeHeader(std::as_bytes(std::span(reader->raw_)));
  if (!header.ok()) return Annotate(path.string(), header.error());
  reader->header_ = std::move(header).value();
  reader->raw_.clear();
  return reader;
}

bool MoetraceReader::CutOff(const char* where) {
  warnings_.push_back(fmt::format("{} is cut off inside a frame's {}: {} bytes after the last whole frame were left out", name_,
                                  where, file_bytes_ - at_));
  return false;
}

Status MoetraceReader::Unpack(std::span<const std::byte> head, std::string_view payload, uint32_t raw_bytes) {
  uint64_t wanted = 0;
  std::memcpy(&wanted, head.data() + kCheckedHeadBytes, sizeof wanted);
  if (Checksum(reinterpret_cast<const char*>(head.data()), payload) != wanted)
    return BadInput("its checksum is wrong: the file is damaged");
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != raw_bytes) return BadInput("its length is not what it says");
  raw_.resize(raw_bytes);
  const size_t size = ZSTD_decompress(raw_.data(), raw_.size(), payload.data(), payload.size());
  if (ZSTD_isError(size) || size != raw_bytes) return BadInput("it cannot be decompressed");
  raw_at_ = 0;
  return {};
}

// False: no whole frame is left.
Result<bool> MoetraceReader::NextFrame(uint8_t wanted_type) {
  std::array<char, kFrameHeadBytes> bytes{};
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file_.get());
  if (got == 0) return false;
  if (got != bytes.size()) return CutOff("head");
  const FrameHead head = FromBytes(bytes);
  const std::string where = fmt::format("{}: frame at byte {}", name_, at_);
  if (head.type != wanted_type || head.stored_bytes > ZSTD_COMPRESSBOUND(kMostFrameBytes) || head.raw_bytes > kMostFrameBytes) {
    return BadInput(where + " has an impossible head: the file is damaged");
  }
  if (head.stored_bytes > file_bytes_ - std::min(file_bytes_, at_ + kFrameHeadBytes)) return CutOff("body");
  stored_.resize(head.stored_bytes);
  if (std::fread(stored_.data(), 1, stored_.size(), file_.get()) != stored_.size()) return CutOff("body");
  const Status unpacked = Unpack(std::as_bytes(std::span(bytes)), stored_, head.raw_bytes);
  if (!unpacked.ok()) return Annotate(where, unpacked.error());
  passes_left_ = head.passes;
  at_ += kFrameHeadBytes + head.stored_bytes;
  return true;
}

Result<bool> MoetraceReader::Next(TracePass& pass) {
  while (passes_left_ == 0) {
    if (raw_at_ != raw_.size())
      return BadInput(fmt::format("{}: the frame before byte {} holds more than its passes", name_, at_));
    ASSIGN_OR_RETURN(const bool more, NextFrame(kPassFrame));
    if (!more) return false;
  }
  ByteReader in(std::as_bytes(std::span(raw_)).subspan(raw_at_));
  const Status decoded = DecodePass(header_, in, pass);
  if (!decoded.ok()) return Annotate(fmt::format("{}: frame before byte {}", name_, at_), decoded.error());
  raw_at_ = raw_.size() - in.left();
  --passes_left_;
  return true;
}

}  // namespace moecap::trace
