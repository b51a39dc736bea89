#include "system/openai/server_counters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace moecap::openai {
namespace {

using load::ServerCounters;

// One sample's value, where the line is of that name and holds all of `label` among its labels.
std::optional<double> ValueOf(std::string_view line, std::string_view name, std::string_view label) {
  if (!line.starts_with(name)) return std::nullopt;
  std::string_view rest = line.substr(name.size());
  std::string_view labels;
  if (rest.starts_with('{')) {
    const size_t end = std::min(rest.size(), rest.rfind('}') + 1);
    labels = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  if (!rest.starts_with(' ') || labels.find(label) == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
  double value = 0;
  const bool is_number = std::from_chars(rest.data(), rest.data() + rest.size(), value).ec == std::errc();
  return is_number && std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
}

// The sum over the samples of that name; null without one.
std::optional<double> SumOf(std::string_view page, std::string_view name, std::string_view label = "") {
  std::optional<double> sum;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    if (const auto value = ValueOf(line, name, label)) sum = sum.value_or(0) + *value;
  }
  return sum;
}

// The first name that the page has.
std::optional<double> FirstOf(std::string_view page, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto sum = SumOf(page, name)) return sum;
  }
  return std::nullopt;
}

std::optional<double> Plus(std::optional<double> a, std::optional<double> b, double sign = 1) {
  return a ? std::optional(*a + sign * b.value_or(0)) : std::nullopt;
}

}  // namespace

ServerCounters CountersOnPage(ServerKind kind, std::string_view metrics) {
  ServerCounters counters;
  counters.process_start_s = SumOf(metrics, "process_start_time_seconds");
  switch (kind) {
    case ServerKind::kVllm:
      counters.prompt_tokens = SumOf(metrics, "vllm:prompt_tokens_total");
      counters.cached_tokens = FirstOf(metrics, {"vllm:prompt_tokens_cached_total", "vllm:prefix_cache_hits_total"});
      counters.generated_tokens = SumOf(metrics, "vllm:generation_tokens_total");
      counters.aborted = SumOf(metrics, "vllm:request_success_total", "finished_reason=\"abort\"");
      counters.finished = Plus(SumOf(metrics, "vllm:request_success_total"), counters.aborted, -1);
      break;
    case ServerKind::kSglang:
      counters.prompt_tokens = SumOf(metrics, "sglang:prompt_tokens_total");
      counters.cached_tokens = SumOf(metrics, "sglang:cached_tokens_total");
      counters.generated_tokens = SumOf(metrics, "sglang:generation_tokens_total");
      counters.aborted = SumOf(metrics, "sglang:num_aborted_requests_total");
      counters.finished = Plus(SumOf(metrics, "sglang:num_requests_total"), counters.aborted, -1);
      break;
    case ServerKind::kLlamaServer:
      counters.cached_tokens = SumOf(metrics, "llamacpp:prompt_tokens_cached_total");
      counters.prompt_tokens = Plus(SumOf(metrics, "llamacpp:prompt_tokens_total"), counters.cached_tokens);
      counters.generated_tokens = SumOf(metrics, "llamacpp:tokens_predicted_total");
      break;
    case ServerKind::kTgi:
      counters.prompt_tokens = SumOf(metrics, "tgi_request_input_length_sum");
      counters.generated_tokens = SumOf(metrics, "tgi_request_generated_tokens_sum");
      counters.finished = SumOf(metrics, "tgi_request_success");
      break;
    default:
      break;
  }
  return counters;
}

}  // namespace moecap::openai
