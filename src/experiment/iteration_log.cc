#include "experiment/iteration_log.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace moecap::experiment {
namespace {

// The number right before `words` (" context requests").
std::optional<int64_t> NumberBefore(std::string_view words, std::string_view line) {
  const size_t end = line.find(words);
  if (end == std::string_view::npos) return std::nullopt;
  size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  int64_t number = 0;
  const auto [at, error] = std::from_chars(line.data() + begin, line.data() + end, number);
  return error == std::errc() && at == line.data() + end ? std::optional(number) : std::nullopt;
}

// "Engine 000", or "" where the line names none.
std::string_view EngineOf(std::string_view line) {
  const size_t at = line.find("Engine ");
  return at == std::string_view::npos ? "" : line.substr(at, line.find(':', at) - at);
}

// So many passes may be missing, or too many, before the two sides are aligned again.
constexpr size_t kMostSkipped = 32;

}  // namespace

LoggedPass CompositionOf(const record::PassRecord& pass) {
  LoggedPass composition;
  for (const record::SequenceSlice& slice : pass.sequences) {
    composition.requests += slice.count;
    composition.tokens += slice.count * slice.new_tokens;
  }
  return composition;
}

std::vector<LoggedPass> ReadIterationLog(std::string_view log) {
  std::vector<LoggedPass> passes;
  std::optional<std::string> engine;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(log.size(), line.size() + 1));
    if (line.find("Iteration(") == std::string_view::npos) continue;
    const auto prompts = NumberBefore(" context requests", line), prompt_tokens = NumberBefore(" context tokens", line);
    const auto answers = NumberBefore(" generation requests", line), tokens = NumberBefore(" generation tokens", line);
    if (!prompts || !prompt_tokens || !answers || !tokens || *prompt_tokens + *tokens == 0) continue;
    if (engine.value_or(std::string(EngineOf(line))) != EngineOf(line)) return {};
    engine = EngineOf(line);
    passes.push_back({*prompts + *answers, *prompt_tokens + *tokens});
  }
  return passes;
}

int64_t CountAlike(std::span<const LoggedPass> logged, std::span<const record::PassRecord> passes) {
  std::vector<LoggedPass> ours;
  for (const record::PassRecord& pass : passes) ours.push_back(CompositionOf(pass));
  int64_t alike = 0;
  for (size_t a = 0, b = 0; a < logged.size() && b < ours.size();) {
    // The nearest pair that is alike; where there is none, both were something else.
    size_t skip_a = 1, skip_b = 1;
    bool found = false;
    for (size_t skipped = 0; skipped <= kMostSkipped && !found; ++skipped) {
      for (size_t of_a = 0; of_a <= skipped && !found; ++of_a) {
        const size_t i = a + of_a, j = b + skipped - of_a;
        if (i >= logged.size() || j >= ours.size() || logged[i] != ours[j]) continue;
        found = true;
        skip_a = of_a + 1;
        skip_b = skipped - of_a + 1;
      }
    }
    alike += found;
    a += skip_a;
    b += skip_b;
  }
  return alike;
}

}  // namespace moecap::experiment
