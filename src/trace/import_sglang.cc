// SGLang's expert distribution recorder (python/sglang/srt/eplb/expert_distribution.py), modes stat and per_pass, and what all
// modes share.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "trace/sglang_recording.h"

namespace moecap::trace {
namespace {

const PickleDict* AsDict(const PickleValue& value) { return std::get_if<PickleDict>(&value); }

// [layer][expert] of a 2-D tensor, or of one index of a 3-D one.
Status ReadTable(const IntTensor& tensor, int64_t pass, CountTable& table) {
  const bool three = tensor.sizes().size() == 3;
  const int64_t layers = tensor.size(three ? 1 : 0), experts = tensor.size(three ? 2 : 1);
  RETURN_IF_ERROR(CheckTableSize(layers, experts));
  table.columns = static_cast<size_t>(experts);
  table.counts.clear();
  for (int64_t layer = 0; layer < layers; ++layer) {
    for (int64_t expert = 0; expert < experts; ++expert)
      table.counts.push_back(three ? tensor.At(pass, layer, expert) : tensor.At(layer, expert));
  }
  return {};
}

// The first index of 'logical_count' in three dimensions.
enum class Layout { kPasses, kRanks };

Result<Layout> LayoutOf(const SglangFile& file) {
  const PickleValue* value = file.Find("logical_count_layout");
  if (value == nullptr || std::holds_alternative<PickleNone>(*value)) return Layout::kPasses;
  const auto* name = std::get_if<std::string>(value);
  if (name != nullptr && *name == "rank_layer_expert") return Layout::kRanks;
  if (name != nullptr && (*name == "pass_layer_expert" || *name == "step_layer_expert" || *name == "layer_expert"))
    return Layout::kPasses;
  return BadInput(
      fmt::format("the counts have the layout '{}'; rank_layer_expert, pass_layer_expert and layer_expert are known",
                  name == nullptr ? "?" : *name));
}

// Sums over all passes, rank by rank.
Status ReadRanks(const IntTensor& counts, CountTable& table) {
  RETURN_IF_ERROR(ReadTable(counts, 0, table));
  CountTable more;
  for (int64_t rank = 1; rank < counts.size(0); ++rank) {
    RETURN_IF_ERROR(ReadTable(counts, rank, more));
    std::ranges::transform(table.counts, more.counts, table.counts.begin(),
                           [](int64_t a, int64_t b) { return a < 0 || b < 0 ? int64_t{-1} : std::min(a + b, kMostCount); });
  }
  return {};
}

Result<std::unique_ptr<TraceSource>> StatMode(const std::shared_ptr<SglangFile>& file, const PickleValue& value,
                                              const ImportOptions& options) {
  ASSIGN_OR_RETURN(const Layout layout, LayoutOf(*file));
  CountPasses passes;
  passes.origin = "sglang";
  passes.summed_ranks = true;
  passes.numbers = {0};
  if (const auto flat = file->torch.Ints(value, 2, "logical_count"); flat.ok()) {
    passes.grain = Grain::kTotals;
    passes.read = [file, counts = *flat](size_t, CountTable& table) { return ReadTable(counts, 0, table); };
    return MakeCountSource(std::move(passes), options);
  }
  ASSIGN_OR_RETURN(const IntTensor counts, file->torch.Ints(value, 3, "logical_count"));
  if (layout == Layout::kRanks) {
    if (counts.size(0) < 1 || counts.size(0) > kMostRanks) return BadInput(fmt::format("{} ranks cannot be", counts.size(0)));
    passes.grain = Grain::kTotals;
    passes.summed_ranks = false;
    passes.share.ranks.resize(static_cast<size_t>(counts.size(0)));
    std::iota(passes.share.ranks.begin(), passes.share.ranks.end(), 0);
    passes.share.world = static_cast<int>(counts.size(0));
    passes.share.whole = true;
    passes.notes.push_back(fmt::format("sums over all passes, rank by rank; the {} ranks are added up", counts.size(0)));
    passes.read = [file, counts](size_t, CountTable& table) { return ReadRanks(counts, table); };
    return MakeCountSource(std::move(passes), options);
  }
  passes.ring = true;
  passes.numbers.resize(static_cast<size_t>(counts.size(0)));
  std::iota(passes.numbers.begin(), passes.numbers.end(), 0);
  passes.read = [file, counts](size_t index, CountTable& table) {
    return ReadTable(counts, static_cast<int64_t>(index), table);
  };
  return MakeCountSource(std::move(passes), options);
}

Result<std::unique_ptr<TraceSource>> PerPassMode(const std::shared_ptr<SglangFile>& file, const PickleList& records,
                                                 const ImportOptions& options) {
  const Pickle& pickle = file->torch.pickle();
  CountPasses passes;
  passes.origin = "sglang";
  auto tensors = std::make_shared<std::vector<IntTensor>>();
  size_t others = 0;
  for (const PickleRef ref : records.items) {
    const PickleDict* record = AsDict(pickle.At(ref));
    const PickleValue* value = record == nullptr ? nullptr : pickle.Find(*record, "global_physical_count");
    if (value == nullptr) return BadInput("a record lacks 'global_physical_count'");
    const PickleValue* gatherer = pickle.Find(*record, "gatherer_key");
    if (const auto* key = gatherer == nullptr ? nullptr : std::get_if<std::string>(gatherer);
        key != nullptr && *key != "primary") {
      ++others;
      continue;
    }
    ASSIGN_OR_RETURN(IntTensor counts, file->torch.Ints(*value, 2, "global_physical_count"));
    passes.numbers.push_back(NumberOf(pickle, *record, tensors->size()));
    tensors->push_back(std::move(counts));
  }
  if (others > 0) passes.notes.push_back(fmt::format("{} records of other gatherers than 'primary' were left out", others));
  if (tensors->empty()) return BadInput("the recording holds no passes");
  ASSIGN_OR_RETURN(Placement placement, ReadPlacement(*file, tensors->front().size(0)));
  if (!placement.experts.empty()) {
    if (placement.places != tensors->front().size(1))
      return BadInput("'last_physical_to_logical_map' has another number of experts than the counts");
    passes.notes.emplace_back(kMovedExperts);
    passes.map = std::move(placement.experts);
  }
  ASSIGN_OR_RETURN(passes.rank, RankOf(*file, records));
  passes.read = [file, tensors](size_t index, CountTable& table) { return ReadTable((*tensors)[index], 0, table); };
  return MakeCountSource(std::move(passes), options);
}

}  // namespace

Result<Placement> ReadPlacement(const SglangFile& file, int64_t layers) {
  Placement placement;
  const PickleValue* value = file.Find("last_physical_to_logical_map");
  if (value == nullptr || std::holds_alternative<PickleNone>(*value)) return placement;
  ASSIGN_OR_RETURN(const IntTensor map, file.torch.Ints(*value, 2, "last_physical_to_logical_map"));
  if (map.size(0) != layers || map.size(1) < 1 || map.size(1) > kMostPlaces)
    return BadInput("'last_physical_to_logical_map' has another number of layers than the counts");
  placement.places = map.size(1);
  bool identity = true;
  for (int64_t layer = 0; layer < map.size(0); ++layer) {
    std::vector<int>& row = placement.experts.emplace_back();
    for (int64_t place = 0; place < map.size(1); ++place) {
      const int64_t expert = map.At(layer, place);
      if (expert < 0 || expert >= std::min<int64_t>(map.size(1), kMostExperts))
        return BadInput(fmt::format("'last_physical_to_logical_map' names expert {}", expert));
      identity &= expert == place;
      row.push_back(static_cast<int>(expert));
      placement.logical = std::max(placement.logical, expert + 1);
    }
  }
  if (identity) placement.experts.clear();
  return placement;
}

Result<int> RankOf(const SglangFile& file, const PickleList& records) {
  std::set<int64_t> ranks;
  const Pickle& pickle = file.torch.pickle();
  for (const PickleRef ref : records.items) {
    const PickleDict* record = AsDict(pickle.At(ref));
    const PickleValue* value = record == nullptr ? nullptr : pickle.Find(*record, "rank");
    if (const auto* rank = value == nullptr ? nullptr : std::get_if<int64_t>(value)) ranks.insert(*rank);
  }
  if (ranks.empty()) return -1;
  if (ranks.size() > 1) return BadInput("the records of several ranks are in one file; give each rank's own file");
  if (*ranks.begin() < 0 || *ranks.begin() >= kMostRanks) return BadInput(fmt::format("rank {} cannot be", *ranks.begin()));
  return static_cast<int>(*ranks.begin());
}

int64_t NumberOf(const Pickle& pickle, const PickleDict& record, size_t otherwise) {
  const PickleValue* id = pickle.Find(record, "forward_pass_id");
  const auto* number = id == nullptr ? nullptr : std::get_if<int64_t>(id);
  return number == nullptr ? static_cast<int64_t>(otherwise) : *number;
}

Result<std::unique_ptr<TraceSource>> ImportSglang(std::span<const std::byte> bytes, std::shared_ptr<void> owner,
                                                  const ImportOptions& options) {
  auto file = std::make_shared<SglangFile>();
  file->owner = std::move(owner);
  ASSIGN_OR_RETURN(file->torch, TorchFile::Parse(bytes));
  const Pickle& pickle = file->torch.pickle();
  file->root = AsDict(pickle.root());
  if (file->root == nullptr) return BadInput("not a recording of SGLang: its root is not a dict");
  if (const PickleValue* counts = file->Find("logical_count")) return StatMode(file, *counts, options);
  const PickleValue* value = file->Find("records");
  const auto* records = value == nullptr ? nullptr : std::get_if<PickleList>(value);
  if (records == nullptr) return BadInput("not a recording of SGLang: it has neither 'logical_count' nor 'records'");
  if (records->items.empty()) return BadInput("the recording holds no passes");
  const PickleDict* first = AsDict(pickle.At(records->items.front()));
  if (first != nullptr && pickle.Find(*first, "topk_ids_of_layer") != nullptr)
    return ImportSglangTokens(std::move(file), *records, options);
  return PerPassMode(file, *records, options);
}

}  // namespace moecap::trace
