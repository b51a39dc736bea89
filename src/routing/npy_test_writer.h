// Writes .npy arrays and base64 for tests, independently of the reader.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::routing {

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string EncodeBase64(const std::string& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < have ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) out.push_back(j <= have ? kDigits[group >> (18 - 6 * j) & 63] : '=');
  }
  return out;
}

// As numpy.save writes: header padded with spaces to a multiple of 64, ending in a line break.
template <typename T>
std::string Npy(const std::string& descr, const std::vector<int64_t>& shape, const std::vector<T>& values, int version = 1) {
  std::string sizes;
  for (const int64_t size : shape) sizes += fmt::format("{}, ", size);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
  const size_t prefix = version == 1 ? 10 : 12;
  header.resize((header.size() + prefix + 64) / 64 * 64 - prefix - 1, ' ');
  header += '\n';
  std::string file = "\x93NUMPY" + std::string(1, static_cast<char>(version)) + std::string(1, '\0');
  file +=
      version == 1 ? LittleEndian(static_cast<uint16_t>(header.size())) : LittleEndian(static_cast<uint32_t>(header.size()));
  file += header;
  for (const T value : values) file += LittleEndian(value);
  return file;
}

}  // namespace moecap::routing
