// Importance matrices of llama.cpp (tools/imatrix): how many rows of a calibration text each expert's matrix multiplied.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include "model/gguf.h"
#include "trace/count_passes.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

// The projections of one layer see the same rows; the first that is there counts.
constexpr std::array<std::string_view, 4> kSuffixes = {".ffn_down_exps.weight.counts", ".ffn_gate_up_exps.weight.counts",
                                                       ".ffn_up_exps.weight.counts", ".ffn_gate_exps.weight.counts"};
constexpr double kExactFloat = 16777216;  // 2^24

struct LayerTensor {
  size_t preference = kSuffixes.size();
  const model::GgufTensor* tensor = nullptr;
};

// "blk.<n>" + one of the suffixes.
bool ParseName(std::string_view name, int& layer, size_t& preference) {
  if (!name.starts_with("blk.")) return false;
  name.remove_prefix(4);
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || layer < 0 || layer > (1 << 20)) return false;
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  for (preference = 0; preference < kSuffixes.size(); ++preference) {
    if (name == kSuffixes[preference]) return true;
  }
  return false;
}

Result<std::vector<int64_t>> ReadCounts(std::span<const std::byte> data, const model::GgufTensor& tensor, bool& inexact) {
  if (tensor.type.name != "F32" || tensor.elements > kMostExperts)
    return BadInput(fmt::format("'{}' is not a list of F32 counts", tensor.name));
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < tensor.elements; ++i) {
    float value = 0;
    std::memcpy(&value, data.data() + tensor.offset + static_cast<size_t>(i) * sizeof value, sizeof value);
    if (!std::isfinite(value) || value < 0 || value > static_cast<float>(kMostCount))
      return BadInput(fmt::format("'{}' holds the count {}", tensor.name, value));
    inexact |= value >= kExactFloat;
    counts.push_back(std::llround(value));
  }
  return counts;
}

// The older format has one count a matrix. Converted, it stands alone, or once for each expert.
Status CheckLegacy(const CountTable& table, const ImportOptions& options) {
  const bool alone = table.columns == 1 && options.experts != 1;
  const bool equal = std::ranges::all_of(table.counts, [&table](int64_t count) { return count == table.counts.front(); });
  const bool copied = equal && table.columns > 1 && table.rows() > 1 && table.counts.front() > 0;
  if (!alone && !copied) return {};
  return BadInput(
      "which experts were used is lost: the imatrix was converted from the older format, which has one count a matrix for all "
      "of "
      "its experts. Make it anew with llama-imatrix, which counts each expert in its GGUF format");
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportImatrix(std::span<const std::byte> bytes, const ImportOptions& options) {
  ASSIGN_OR_RETURN(const model::GgufFile file, model::ParseGguf(bytes));
  if (file.file_bytes > bytes.size()) return BadInput("the file is cut off");
  std::map<int, LayerTensor> layers;
  for (const model::GgufTensor& tensor : file.tensors) {
    int layer = 0;
    size_t preference = 0;
    if (!ParseName(tensor.name, layer, preference) || preference >= layers[layer].preference) continue;
    layers[layer] = {preference, &tensor};
  }
  if (layers.empty()) return BadInput("no counts of experts; is it an imatrix in GGUF format, of an MoE model?");
  CountPasses passes;
  passes.grain = Grain::kTotals;
  passes.origin = "llama.cpp-imatrix";
  passes.numbers = {0};
  const std::span<const std::byte> data = bytes.subspan(file.data_offset);
  CountTable table;
  bool inexact = false;
  for (const auto& [layer, found] : layers) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> row, ReadCounts(data, *found.tensor, inexact));
    if (table.columns != 0 && row.size() != table.columns) return BadInput("layers have different numbers of experts");
    table.columns = row.size();
    passes.layer_numbers.push_back(layer);
    table.counts.insert(table.counts.end(), row.begin(), row.end());
  }
  RETURN_IF_ERROR(CheckLegacy(table, options));
  passes.notes.emplace_back("sums over a whole calibration text: passes, sequences and single tokens are not recorded");
  if (inexact) passes.notes.emplace_back("counts of 2^24 and more are rounded by the file's format");
  passes.share.whole = true;
  passes.read = [table](size_t, CountTable& out) {
    out = table;
    return Status();
  };
  return MakeCountSource(std::move(passes), options);
}

}  // namespace moecap::trace
