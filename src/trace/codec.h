// The body of a .moetrace frame: passes as bytes and back. Specified in docs/formats/moetrace.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "trace/trace.h"

namespace moecap::trace {

// Unsigned LEB128 and its signed (zigzag) form.
void AppendVarint(uint64_t value, std::string& out);
uint64_t ZigZag(int64_t value);
int64_t UnZigZag(uint64_t value);

// Reads from the front of foreign bytes. Every read says whether it succeeded; a failed one leaves the reader at the end.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool ReadU8(uint8_t& value);
  bool ReadVarint(uint64_t& value);  // at most ten bytes, no overflow
  bool ReadBytes(size_t count, std::span<const std::byte>& bytes);
  size_t left() const { return bytes_.size() - at_; }
  bool done() const { return at_ == bytes_.size(); }

 private:
  bool Fail() {
    at_ = bytes_.size();
    return false;
  }
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

// Requires CheckPass(header, pass).ok().
void EncodePass(const TraceHeader& header, const TracePass& pass, std::string& out);
// Never allocates more than a small multiple of what the bytes can hold. Error kBadInput: damage.
Status DecodePass(const TraceHeader& header, ByteReader& in, TracePass& pass);

void EncodeHeader(const TraceHeader& header, std::string& out);
Result<TraceHeader> DecodeHeader(std::span<const std::byte> bytes);

}  // namespace moecap::trace
