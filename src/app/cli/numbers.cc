#include "app/cli/numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>

namespace moecap::app {
namespace {

// Null for what is no finite number.
std::optional<double> FiniteNumber(const std::string& text) {
  double value = 0;
  if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "FLOAT:FLOAT in [0 - 10]" as words of an error.
std::string RangeOf(const std::string& type) {
  constexpr std::string_view kIn = " in [";
  const size_t at = type.find(kIn);
  return at == std::string::npos ? "" : fmt::format("; give one{}", type.substr(at));
}

}  // namespace

CLI::Validator Within(double least, double most) {
  const std::string range = fmt::format("[{:g} - {:g}]", least, most);
  return {[=](std::string& text) {
            const auto value = FiniteNumber(text);
            if (value && *value >= least && *value <= most) return std::string();
            return fmt::format("{} is not in {}", text, range);
          },
          "FLOAT in " + range};
}

CLI::Validator RateOfDevice() {
  constexpr double kLeast = 1e6, kMost = 1e21;
  return Within(kLeast, kMost);
}

void RefuseNonFinite(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (!type.starts_with("FLOAT")) continue;
    option->check([range = RangeOf(type)](const std::string& text) {
      return FiniteNumber(text) ? std::string() : fmt::format("{} is no finite number{}", text, range);
    });
  }
  for (CLI::App* verb : app.get_subcommands({})) RefuseNonFinite(*verb);
}

}  // namespace moecap::app
