#include "accuracy/ruler.h"

#include <algorithm>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

std::ptrdiff_t Found(std::string_view prediction, std::span<const std::string> outputs) {
  const std::string text = LowerCase(ValidUtf8(RulerPostprocessed(prediction)));
  return std::ranges::count_if(
      outputs, [&](const std::string& output) { return text.find(LowerCase(ValidUtf8(output))) != std::string::npos; });
}

}  // namespace

std::string RulerPostprocessed(std::string_view prediction) {
  std::string text(Strip(prediction));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '\n');
  return std::string(Strip(text));
}

double RulerMatchAll(std::string_view prediction, std::span<const std::string> outputs) {
  if (outputs.empty()) return 0;
  return static_cast<double>(Found(prediction, outputs)) / static_cast<double>(outputs.size());
}

double RulerMatchPart(std::string_view prediction, std::span<const std::string> outputs) {
  return Found(prediction, outputs) > 0 ? 1 : 0;
}

}  // namespace moecap::accuracy
