#include "accuracy/ruler.h"

#include <algorithm>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

std::ptrdiff_t Found(std::string_view prediction, std::span<const std::string> outputs) {
  const std::string text = unicode::Lower(unicode::Repair(RulerPostprocessed(prediction)));
  return std::ranges::count_if(outputs, [&](const std::string& output) {
    return text.find(unicode::Lower(unicode::Repair(output))) != std::string::npos;
  });
}

}  // namespace

std::string RulerPostprocessed(std::string_view prediction) {
  std::string text(unicode::Strip(prediction));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '\n');
  return std::string(unicode::Strip(text));
}

double RulerMatchAll(std::string_view prediction, std::span<const std::string> outputs) {
  if (outputs.empty()) return 0;
  return static_cast<double>(Found(prediction, outputs)) / static_cast<double>(outputs.size());
}

double RulerMatchPart(std::string_view prediction, std::span<const std::string> outputs) {
  return Found(prediction, outputs) > 0 ? 1 : 0;
}

}  // namespace moecap::accuracy
