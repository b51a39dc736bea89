#include "system/llamacpp/graph_names.h"

#include <charconv>

namespace moecap::llamacpp {

int LayerInName(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return -1;
  int layer = -1;
  const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
  return error == std::errc() && end == name.data() + name.size() ? layer : -1;
}

}  // namespace moecap::llamacpp
