#include "system/openai/prometheus_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

namespace moecap::openai {
namespace {

struct Sample {
  std::string_view labels;
  double value = 0;
};

std::optional<double> NumberOf(std::string_view text) {
  double value = 0;
  const bool is_number = std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
  return is_number && std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
}

// The line's sample, where it is of that name.
std::optional<Sample> SampleOn(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  std::string_view rest = line.substr(name.size());
  Sample sample;
  if (rest.starts_with('{')) {
    const size_t end = std::min(rest.size(), rest.rfind('}') + 1);
    sample.labels = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  if (!rest.starts_with(' ')) return std::nullopt;
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
  const auto value = NumberOf(rest);
  if (!value) return std::nullopt;
  sample.value = *value;
  return sample;
}

template <typename Visit>
void ForEachLine(std::string_view page, Visit visit) {
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    visit(line);
  }
}

std::string_view ValueOfLabel(std::string_view labels, std::string_view label) {
  const std::string key = std::string(label) + "=\"";
  for (size_t at = labels.find(key); at != std::string_view::npos; at = labels.find(key, at + 1)) {
    if (at > 0 && labels[at - 1] != '{' && labels[at - 1] != ',' && labels[at - 1] != ' ') continue;
    const std::string_view value = labels.substr(at + key.size());
    return value.substr(0, value.find('"'));
  }
  return "";
}

}  // namespace

std::optional<double> SumOf(std::string_view page, std::string_view name, std::string_view label) {
  std::optional<double> sum;
  ForEachLine(page, [&](std::string_view line) {
    const auto sample = SampleOn(line, name);
    if (sample && sample->labels.find(label) != std::string_view::npos) sum = sum.value_or(0) + sample->value;
  });
  return sum;
}

std::optional<double> MeanOf(std::string_view page, std::string_view name) {
  double sum = 0;
  int samples = 0;
  ForEachLine(page, [&](std::string_view line) {
    const auto sample = SampleOn(line, name);
    if (!sample) return;
    sum += sample->value;
    ++samples;
  });
  return samples > 0 ? std::optional(sum / samples) : std::nullopt;
}

std::optional<double> FirstOf(std::string_view page, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto sum = SumOf(page, name)) return sum;
  }
  return std::nullopt;
}

std::string LabelOf(std::string_view page, std::string_view name_begin, std::string_view label) {
  std::string found;
  ForEachLine(page, [&](std::string_view line) {
    if (!found.empty() || !line.starts_with(name_begin)) return;
    const size_t open = line.find('{');
    if (open != std::string_view::npos) found = ValueOfLabel(line.substr(open), label);
  });
  return found;
}

int ValuesOf(std::string_view page, std::string_view name, std::string_view label) {
  std::set<std::string_view> values;
  ForEachLine(page, [&](std::string_view line) {
    const auto sample = SampleOn(line, name);
    if (!sample) return;
    if (const std::string_view value = ValueOfLabel(sample->labels, label); !value.empty()) values.insert(value);
  });
  return static_cast<int>(values.size());
}

std::vector<std::pair<double, double>> BucketsOf(std::string_view page, std::string_view name) {
  std::map<double, double> buckets;
  const std::string bucket = std::string(name) + "_bucket";
  ForEachLine(page, [&](std::string_view line) {
    const auto sample = SampleOn(line, bucket);
    if (!sample) return;
    // The last one's "+Inf" is no number here: it is the histogram's count.
    if (const auto bound = NumberOf(ValueOfLabel(sample->labels, "le"))) buckets[*bound] += sample->value;
  });
  return {buckets.begin(), buckets.end()};
}

}  // namespace moecap::openai
