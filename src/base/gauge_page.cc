#include "base/gauge_page.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace moecap {
namespace {

std::string Escaped(std::string_view text, std::string_view specials) {
  std::string out;
  for (const char c : text) {
    if (specials.find(c) != std::string_view::npos) out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

void GaugePage::Begin(std::string_view name, std::string_view help) {
  name_ = fmt::format("moecap_{}", name);
  help_ = Escaped(help, "\\");
  has_head_ = false;
}

void GaugePage::Add(const Labels& labels, double value) {
  if (!std::isfinite(value)) return;
  if (!std::exchange(has_head_, true)) text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name_, help_);
  text_ += name_;
  const char* before = "{";
  for (const auto& [label, text] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", std::exchange(before, ","), label, Escaped(text, "\\\""));
  }
  text_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
}

}  // namespace moecap
