#include "hardware/probe/sysfs.h"

#include <algorithm>
#include <charconv>

#include "base/fs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;

std::string ReadWord(const fs::path& file) {
  const auto lines = ReadLines(file);
  if (!lines || lines->empty()) return "";
  const std::string& line = lines->front();
  const size_t begin = line.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : line.substr(begin, line.find_last_not_of(" \t") - begin + 1);
}

std::optional<double> ReadNumber(const fs::path& file) {
  const std::string word = ReadWord(file);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(entry->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

namespace {

// "16.0 GT/s PCIe" -> 4.
std::optional<int> Generation(const std::optional<double>& giga_transfers_per_s) {
  constexpr double kRates[] = {2.5, 5, 8, 16, 32, 64};
  for (int i = 0; i < 6; ++i) {
    if (giga_transfers_per_s == kRates[i]) return i + 1;
  }
  return std::nullopt;
}

// A width of 0 or 255 stands for "no link" and "unknown".
std::optional<int> Lanes(const std::optional<double>& lanes) {
  return lanes && *lanes >= 1 && *lanes <= 32 ? std::optional(static_cast<int>(*lanes)) : std::nullopt;
}

}  // namespace

PcieLink ReadPcieLink(const fs::path& device) {
  return {Generation(ReadNumber(device / "current_link_speed")), Lanes(ReadNumber(device / "current_link_width")),
          Generation(ReadNumber(device / "max_link_speed")), Lanes(ReadNumber(device / "max_link_width"))};
}

}  // namespace moecap::hardware
