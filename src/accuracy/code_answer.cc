#include "accuracy/code_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace moecap::accuracy {

std::string_view CutAtStops(std::string_view completion, std::span<const std::string> stops) {
  size_t end = completion.size();
  for (const std::string& stop : stops) {
    if (!stop.empty()) end = std::min(end, completion.find(stop));
  }
  return completion.substr(0, end);
}

std::string_view CutAtFence(std::string_view completion) { return completion.substr(0, completion.find("```")); }

std::string_view BodyOfFencedFunction(std::string_view answer) {
  constexpr std::string_view kOpen = "```python\n", kSignatureEnd = ":\n    ";
  std::string_view code = answer;
  if (const size_t open = answer.find(kOpen); open != std::string_view::npos) {
    const std::string_view fenced = answer.substr(open + kOpen.size());
    if (const size_t close = fenced.find("```"); close != std::string_view::npos) code = fenced.substr(0, close);
  }
  // The original adds 2 to the place found, which is -1 for none: then the first character is lost.
  const size_t signature = code.find(kSignatureEnd);
  const size_t body = signature == std::string_view::npos ? 1 : signature + 2;
  return code.substr(std::min(body, code.size()));
}

std::string HumanEvalProgram(std::string_view prompt, std::string_view completion, std::string_view test,
                             std::string_view entry_point) {
  return fmt::format("{}{}\n{}\ncheck({})\n__import__('os')._exit({})\n", prompt, completion, test, entry_point,
                     kHumanEvalPassed);
}

double PassAtK(int64_t samples, int64_t correct, int64_t k) {
  CHECK(0 <= correct && correct <= samples && 1 <= k && k <= samples);
  if (samples - correct < k) return 1;
  double none = 1;
  for (int64_t i = samples - correct + 1; i <= samples; ++i) none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - none;
}

}  // namespace moecap::accuracy
