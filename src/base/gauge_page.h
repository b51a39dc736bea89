// Gauges in Prometheus's text format 0.0.4.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap {

class GaugePage {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;  // names as Prometheus allows them, any values

  // What the values added from here on are: a gauge "moecap_NAME". One to which none is added is left out.
  void Begin(std::string_view name, std::string_view help);
  // One that is no finite number is left out.
  void Add(const Labels& labels, double value);

  const std::string& text() const { return text_; }

 private:
  std::string name_, help_;
  bool has_head_ = false;
  std::string text_;
};

}  // namespace moecap
