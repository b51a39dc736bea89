// TensorRT-LLM's expert statistics (tensorrt_llm/_torch/modules/fused_moe/moe_load_balancer.py, EXPERT_STATISTIC_PATH):
// meta_info.json and, per rank, rank<r>.safetensors with int64 counts under "<iteration>_<layer>".
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fs.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "model/safetensors.h"
#include "trace/count_passes.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

using Key = std::pair<int64_t, int64_t>;  // iteration, layer

struct Statistics {
  std::map<Key, std::vector<int64_t>> counts;
};

bool ParseKey(std::string_view name, Key& key) {
  const char* const end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), end, key.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '_') return false;
  const auto second = std::from_chars(first.ptr + 1, end, key.second);
  return second.ec == std::errc() && second.ptr == end && key.first >= 0 && key.second >= 0 && key.second < (1 << 20);
}

Status ReadRank(std::span<const std::byte> bytes, Statistics& statistics) {
  ASSIGN_OR_RETURN(const auto header, model::ParseSafetensorsPrefix(bytes));
  if (!header || static_cast<uint64_t>(header->file_bytes) > bytes.size()) return BadInput("the file is cut off");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const std::span<const std::byte> data = bytes.subspan(sizeof length + length);
  for (const model::SafetensorsTensor& tensor : header->tensors) {
    Key key;
    if (!ParseKey(tensor.name, key))
      return BadInput(fmt::format("the tensor '{}' is not named <iteration>_<layer>", tensor.name));
    if (tensor.dtype != "I64" || tensor.elements < 1 || tensor.elements > kMostExperts) {
      return BadInput(fmt::format("the tensor '{}' is not a list of int64 counts", tensor.name));
    }
    std::vector<int64_t>& counts = statistics.counts[key];
    counts.resize(static_cast<size_t>(tensor.elements));
    std::memcpy(counts.data(), data.data() + tensor.offset, counts.size() * sizeof(int64_t));
    if (std::ranges::any_of(counts, [](int64_t count) { return count < 0 || count > kMostCount; })) {
      return BadInput(fmt::format("the tensor '{}' holds an impossible count", tensor.name));
    }
  }
  return {};
}

// "rank3.safetensors" -> 3; -1: the name does not tell.
int RankOfName(const fs::path& path) {
  const std::string name = path.filename().string();
  int rank = -1;
  if (!name.starts_with("rank")) return -1;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), rank);
  return error == std::errc() && std::string_view(end) == ".safetensors" && rank < kMostRanks ? rank : -1;
}

// meta_info.json beside the ranks; absent = nothing known.
Status ReadMeta(const fs::path& dir, int& experts, int& top_k) {
  std::error_code code;
  const fs::path path = dir / "meta_info.json";
  if (!fs::exists(path, code)) return {};
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const auto read = [&json](const char* key, int& value) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_number_unsigned())
      value = static_cast<int>(std::min<uint64_t>(found->get<uint64_t>(), 1 << 20));
  };
  if (!json.is_object()) return BadInput("meta_info.json is not an object");
  read("num_experts", experts);
  read("num_experts_per_token", top_k);
  return {};
}

struct Plan {
  Statistics statistics;
  std::vector<int64_t> layers;
};

Status ReadPass(const Plan& plan, int64_t iteration, CountTable& table) {
  table.columns = plan.statistics.counts.begin()->second.size();
  table.counts.assign(plan.layers.size() * table.columns, 0);
  for (size_t row = 0; row < plan.layers.size(); ++row) {
    const auto found = plan.statistics.counts.find({iteration, plan.layers[row]});
    if (found == plan.statistics.counts.end()) continue;
    if (found->second.size() != table.columns) return BadInput("layers have different numbers of experts");
    std::ranges::copy(found->second, table.counts.begin() + static_cast<std::ptrdiff_t>(row * table.columns));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportTensorRt(const fs::path& path, const ImportOptions& given) {
  auto plan = std::make_shared<Plan>();
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  RETURN_IF_ERROR(ReadRank(mapped.bytes(), plan->statistics));
  if (plan->statistics.counts.empty()) return BadInput("the statistics hold no iteration");
  CountPasses passes;
  passes.origin = "tensorrt-llm";
  passes.rank = RankOfName(path);
  std::set<int64_t> layers;
  for (const auto& [key, counts] : plan->statistics.counts) {
    if (passes.numbers.empty() || passes.numbers.back() != key.first) passes.numbers.push_back(key.first);
    layers.insert(key.second);
  }
  plan->layers.assign(layers.begin(), layers.end());
  passes.layer_numbers.assign(layers.begin(), layers.end());
  int experts = 0, top_k = 0;
  RETURN_IF_ERROR(ReadMeta(path.parent_path(), experts, top_k));
  const auto in_file = static_cast<int64_t>(plan->statistics.counts.begin()->second.size());
  if (experts != 0 && experts != in_file)
    return BadInput(fmt::format("meta_info.json says {} experts, the counts have {}", experts, in_file));
  if (top_k != 0 && given.top_k != 0 && top_k != given.top_k) {
    return BadInput(fmt::format("meta_info.json says top-{}, {} has top-{}: another model?", top_k, given.model, given.top_k));
  }
  ImportOptions options = given;
  options.top_k = std::max(top_k, given.top_k);
  passes.read = [plan, numbers = passes.numbers](size_t index, CountTable& table) {
    return ReadPass(*plan, numbers[index], table);
  };
  return MakeCountSource(std::move(passes), options);
}

}  // namespace moecap::trace
