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

Result<std::vector<fs::path>> RankFiles(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, code)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("rank") && name.ends_with(".safetensors")) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty()) {
    return BadInput(
        "the folder has no rank<r>.safetensors; TensorRT-LLM writes them when the last iteration of "
        "EXPERT_STATISTIC_ITER_RANGE is reached");
  }
  return files;
}

// Ranks that saw the same tokens hold equal counts; others are added up.
Status Merge(std::vector<Statistics>& ranks, std::vector<std::string>& notes) {
  const bool equal = std::ranges::all_of(ranks, [&](const Statistics& rank) { return rank.counts == ranks[0].counts; });
  if (ranks.size() > 1) {
    notes.push_back(
        equal ? fmt::format("the {} ranks hold equal counts, as in plain tensor parallelism: one of them counts", ranks.size())
              : fmt::format("the counts of {} ranks are added up", ranks.size()));
  }
  if (equal) return {};
  for (size_t i = 1; i < ranks.size(); ++i) {
    for (const auto& [key, counts] : ranks[i].counts) {
      std::vector<int64_t>& sum = ranks[0].counts[key];
      if (sum.empty()) sum.resize(counts.size());
      if (sum.size() != counts.size()) return BadInput("the ranks have different numbers of experts");
      std::ranges::transform(sum, counts, sum.begin(), [](int64_t a, int64_t b) { return std::min(a + b, kMostCount); });
    }
  }
  return {};
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
  std::vector<int64_t> iterations;
  std::vector<int64_t> layers;
};

Status MakePass(const Plan& plan, const TraceHeader& header, size_t index, TracePass& pass) {
  const auto experts = static_cast<size_t>(header.experts);
  pass.number = plan.iterations[index];
  pass.kind.reset();
  pass.tokens = 0;
  pass.counts.assign(header.layers() * experts, 0);
  int64_t most = 0;
  for (size_t row = 0; row < plan.layers.size(); ++row) {
    const auto found = plan.statistics.counts.find({pass.number, plan.layers[row]});
    if (found == plan.statistics.counts.end()) continue;
    if (found->second.size() != experts) return BadInput("layers have different numbers of experts");
    int64_t sum = 0;
    for (size_t i = 0; i < experts; ++i) {
      pass.counts[row * experts + i] = found->second[i];
      sum += found->second[i];
    }
    most = std::max(most, sum);
  }
  if (header.top_k > 0 && most % header.top_k == 0 &&
      most / header.top_k <= kMostIdsPerPass / static_cast<int64_t>(header.layers())) {
    pass.tokens = most / header.top_k;
  }
  return {};
}

// The numbers of the layers are the model's own, or they count its MoE layers.
Status ChooseNumbers(const Plan& plan, const ImportOptions& options, TraceHeader& header) {
  header.layer_numbers.assign(plan.layers.begin(), plan.layers.end());
  if (options.moe_layers.empty() || header.layer_numbers == options.moe_layers) return {};
  if (plan.layers.size() != options.moe_layers.size()) {
    return BadInput(fmt::format("{} layers are recorded, {} has {} MoE layers: another model?", plan.layers.size(),
                                options.model, options.moe_layers.size()));
  }
  header.layer_numbers = options.moe_layers;
  return {};
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportTensorRt(const fs::path& path, const ImportOptions& options) {
  auto plan = std::make_shared<Plan>();
  TraceHeader header;
  header.grain = Grain::kPassCounts;
  header.origin = "tensorrt-llm";
  header.model = options.model;
  ASSIGN_OR_RETURN(const std::vector<fs::path> files, RankFiles(path));
  std::vector<Statistics> ranks;
  for (const fs::path& file : files) {
    ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
    const Status read = ReadRank(mapped.bytes(), ranks.emplace_back());
    if (!read.ok()) return Annotate(file.filename().string(), read.error());
  }
  RETURN_IF_ERROR(Merge(ranks, header.notes));
  plan->statistics = std::move(ranks[0]);
  if (plan->statistics.counts.empty()) return BadInput("the statistics hold no iteration");
  std::set<int64_t> layers;
  for (const auto& [key, counts] : plan->statistics.counts) {
    if (plan->iterations.empty() || plan->iterations.back() != key.first) plan->iterations.push_back(key.first);
    layers.insert(key.second);
  }
  plan->layers.assign(layers.begin(), layers.end());
  int experts = 0, top_k = 0;
  RETURN_IF_ERROR(ReadMeta(files[0].parent_path(), experts, top_k));
  const auto in_file = static_cast<int64_t>(plan->statistics.counts.begin()->second.size());
  if (experts != 0 && experts != in_file)
    return BadInput(fmt::format("meta_info.json says {} experts, the counts have {}", experts, in_file));
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(in_file, true, options, header.notes));
  if (top_k != 0 && options.top_k != 0 && top_k != options.top_k) {
    return BadInput(
        fmt::format("meta_info.json says top-{}, {} has top-{}: another model?", top_k, options.model, options.top_k));
  }
  header.top_k = std::max(top_k, options.top_k);
  RETURN_IF_ERROR(ChooseNumbers(*plan, options, header));
  if (header.top_k == 0)
    header.notes.push_back(
        "experts per token are not known (no meta_info.json), so neither are the tokens of a pass; --model would tell");
  RETURN_IF_ERROR(CheckHeader(header));
  const size_t passes = plan->iterations.size();
  auto make = [plan, header](size_t index, TracePass& pass) { return MakePass(*plan, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

}  // namespace moecap::trace
