// .npz archives of NumPy (numpy/lib/_npyio_impl.py): a ZIP of .npy arrays. Arrays of three dimensions hold the ids of the
// tokens of a request, [tokens, layers, top-k]; those of two, or with a name of loads, tokens per expert.
#include <fmt/format.h>

#include <algorithm>

#include "routing/npy.h"
#include "trace/importers.h"
#include "trace/zip_file.h"

namespace moecap::trace {
namespace {

bool NamesCounts(std::string_view name) {
  return name.find("count") != std::string_view::npos || name.find("load") != std::string_view::npos;
}

bool NamesIds(std::string_view name) {
  for (const std::string_view word : {"routed", "topk", "top_k", "expert", "ids", "arr_"}) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportNpz(std::span<const std::byte> bytes, const ImportOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<ZipEntry> entries, ListZip(bytes));
  std::vector<routing::RoutedExperts> requests;
  std::string others;
  size_t three = 0, named = 0;  // arrays of three dimensions; those whose names speak of ids
  for (const ZipEntry& entry : entries) {
    if (!routing::LooksLikeNpy(entry.data)) continue;
    const auto array = routing::ParseNpy(entry.data);
    if (!array.ok() || array->shape.size() != 3) continue;
    ++three;
    named += NamesIds(entry.name);
  }
  for (const ZipEntry& entry : entries) {
    if (!routing::LooksLikeNpy(entry.data)) continue;
    const auto array = routing::ParseNpy(entry.data);
    others += fmt::format("{}{}", others.empty() ? "" : ", ", entry.name);
    if (!array.ok()) continue;  // numbers that are no integers: weights, times
    const size_t dims = array->shape.size();
    if (NamesCounts(entry.name) && (dims == 2 || dims == 3)) return ImportCountsArray(*array, options);
    if (dims == 2 && three == 0) return ImportCountsArray(*array, options);
    if (dims != 3 || (named > 0 && !NamesIds(entry.name))) continue;
    auto experts = routing::DecodeRoutedNpy(entry.data);
    if (!experts.ok()) return Annotate(entry.name, experts.error());
    requests.push_back(std::move(experts).value());
  }
  if (requests.empty())
    return BadInput(
        fmt::format("no array of routed experts [tokens, layers, experts per token] and none of counts; there are {}",
                    others.empty() ? "no arrays" : others));
  return ImportRoutes(std::move(requests), options);
}

}  // namespace moecap::trace
