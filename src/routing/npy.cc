#include "routing/npy.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>

namespace moecap::routing {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 28;
constexpr std::string_view kMagic = "\x93NUMPY";

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// What follows `'key':` in the header, a Python dict literal.
std::string_view FieldOf(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string name = fmt::format("{}{}{}", quote, key, quote);
    const size_t at = header.find(name);
    if (at == std::string_view::npos) continue;
    std::string_view rest = header.substr(at + name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" :"), rest.size()));
    return rest;
  }
  return {};
}

Status ReadShape(std::string_view text, std::vector<int64_t>& shape, int64_t& values) {
  const size_t close = text.find(')');
  if (text.empty() || text.front() != '(' || close == std::string_view::npos) return BadInput("the .npy header has no shape");
  text = text.substr(1, close - 1);
  values = 1;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" ,"), text.size()));
    if (text.empty()) return {};
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0 || shape.size() == 8 || __builtin_mul_overflow(values, size, &values) ||
        values > kMostValues) {
      return BadInput("the .npy header has an impossible shape");
    }
    shape.push_back(size);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.empty() && text.front() == 'L') text.remove_prefix(1);
  }
}

template <typename T>
int64_t Read(const std::byte* bytes) {
  T value{};
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<int64_t>(value);
}

struct Type {
  std::string_view descr;
  size_t width;
  int64_t (*read)(const std::byte*);
  int64_t most;
};
constexpr std::array kTypes = {Type{"|u1", 1, Read<uint8_t>, UINT8_MAX},   Type{"|i1", 1, Read<int8_t>, INT8_MAX},
                               Type{"<u2", 2, Read<uint16_t>, UINT16_MAX}, Type{"<i2", 2, Read<int16_t>, INT16_MAX},
                               Type{"<u4", 4, Read<uint32_t>, UINT32_MAX}, Type{"<i4", 4, Read<int32_t>, INT32_MAX},
                               Type{"<u8", 8, Read<int64_t>, INT64_MAX},   Type{"<i8", 8, Read<int64_t>, INT64_MAX}};

// Header text and where the data begins.
Result<std::string_view> HeaderOf(std::span<const std::byte> bytes, size_t& data) {
  const std::string_view text = TextOf(bytes);
  if (!text.starts_with(kMagic) || text.size() < 10) return BadInput("not a .npy array");
  const auto byte = [&text](size_t at) { return static_cast<size_t>(static_cast<unsigned char>(text[at])); };
  const size_t version = byte(6);
  if (version < 1 || version > 3) return BadInput(fmt::format(".npy version {}; 1 to 3 are known", version));
  const size_t start = version == 1 ? 10 : 12;
  if (text.size() < start) return BadInput("the .npy header is cut off");
  const size_t length = version == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > text.size() - start) return BadInput("the .npy header is cut off");
  data = start + length;
  return text.substr(start, length);
}

}  // namespace

Result<std::string> DecodeBase64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int held = 0;
  size_t digits = 0;
  bool padded = false;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') continue;
    if (c == '=') {
      padded = true;
      continue;
    }
    const int digit = Base64Digit(c);
    if (digit < 0 || padded) return BadInput(fmt::format("not base64: byte 0x{:02x}", static_cast<unsigned char>(c)));
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    ++digits;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<char>(bits >> held & 0xff));
  }
  if (digits % 4 == 1) return BadInput("the base64 text is cut off");
  return bytes;
}

bool LooksLikeNpy(std::span<const std::byte> bytes) { return TextOf(bytes).starts_with(kMagic); }

Result<NpyArray> ParseNpy(std::span<const std::byte> bytes) {
  size_t data = 0;
  ASSIGN_OR_RETURN(const std::string_view header, HeaderOf(bytes, data));
  const std::string_view descr = FieldOf(header, "descr");
  const Type* type = nullptr;
  for (const Type& known : kTypes) {
    if (descr.substr(0, 1).find_first_of("'\"") == 0 && descr.substr(1).starts_with(known.descr)) type = &known;
  }
  if (type == nullptr)
    return BadInput(
        fmt::format("the .npy array has the type {}; integers of 1, 2, 4 or 8 bytes are known", descr.substr(0, 8)));
  NpyArray array;
  array.fortran_order = FieldOf(header, "fortran_order").starts_with("True");
  array.read = type->read;
  array.width = type->width;
  array.most = type->most;
  RETURN_IF_ERROR(ReadShape(FieldOf(header, "shape"), array.shape, array.size));
  const size_t needed = static_cast<size_t>(array.size) * type->width;
  if (needed > bytes.size() - data)
    return BadInput(fmt::format("the .npy array is cut off: {} of {} bytes", bytes.size() - data, needed));
  array.data = bytes.subspan(data, needed);
  return array;
}

}  // namespace moecap::routing
