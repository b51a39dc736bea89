// SGLang's expert distribution recorder (python/sglang/srt/eplb/expert_distribution.py), modes stat, per_pass and per_token.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "trace/importers.h"
#include "trace/torch_file.h"

namespace moecap::trace {
namespace {

// One pass as counts [layer][expert] of the engine's own layers, logical experts.
struct CountsView {
  IntTensor counts;
  bool three = false;  // stat mode: one tensor for all passes
  int64_t pass = 0;

  int64_t At(int64_t layer, int64_t expert) const { return three ? counts.At(pass, layer, expert) : counts.At(layer, expert); }
};

struct Recording {
  std::shared_ptr<void> owner;
  TorchFile file;
  int64_t layers = 0;
  int64_t columns = 0;  // physical experts of the counts, or ids per token
  std::vector<CountsView> passes;
  std::vector<int64_t> numbers;
  std::vector<std::vector<int64_t>> logical;  // [layer][physical expert]; empty = the same
  int64_t factor = 1;                         // every count is a multiple of it
  LayerChoice choice;

  int64_t Logical(int64_t layer, int64_t physical) const {
    return logical.empty() ? physical : logical[static_cast<size_t>(layer)][static_cast<size_t>(physical)];
  }
};

// One pass of per_token mode.
struct TokenPass {
  IntTensor ids;  // [layer][token][column]
  std::optional<record::PassKind> kind;
  std::vector<int64_t> extend_lengths;
};

const PickleDict* AsDict(const PickleValue& value) { return std::get_if<PickleDict>(&value); }

Status CheckSizes(int64_t layers, int64_t columns) {
  if (layers >= 1 && layers <= kMostLayers && columns >= 1 && columns <= kMostExperts) return {};
  return BadInput(fmt::format("{} layers of {} experts cannot be", layers, columns));
}

Status ReadPhysicalMap(const PickleDict& root, Recording& recording, std::vector<std::string>& notes) {
  const PickleValue* value = recording.file.pickle().Find(root, "last_physical_to_logical_map");
  if (value == nullptr || std::holds_alternative<PickleNone>(*value)) return {};
  ASSIGN_OR_RETURN(const IntTensor map, recording.file.Ints(*value, 2, "last_physical_to_logical_map"));
  if (map.size(0) != recording.layers || map.size(1) < 1 || map.size(1) > kMostExperts) {
    return BadInput("'last_physical_to_logical_map' has another number of layers than the counts");
  }
  bool identity = true;
  std::vector<std::vector<int64_t>> logical(static_cast<size_t>(map.size(0)));
  for (int64_t layer = 0; layer < map.size(0); ++layer) {
    for (int64_t physical = 0; physical < map.size(1); ++physical) {
      const int64_t expert = map.At(layer, physical);
      if (expert < 0 || expert >= map.size(1))
        return BadInput(fmt::format("'last_physical_to_logical_map' names expert {}", expert));
      identity &= expert == physical;
      logical[static_cast<size_t>(layer)].push_back(expert);
    }
  }
  if (identity) return {};
  recording.logical = std::move(logical);
  notes.push_back(
      "experts had been moved or doubled between ranks; counts are added up by logical expert with the last map of the file");
  return {};
}

// Which layers are used, how many logical experts there are, and the factor by which plain tensor parallelism multiplies every
// count.
Status Survey(Recording& recording, const ImportOptions& options, TraceHeader& header) {
  std::vector<bool> used(static_cast<size_t>(recording.layers));
  int64_t divisor = 0;
  int64_t least = INT64_MAX;
  int64_t nonzero = 0;
  std::vector<CountsView> kept;
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < recording.passes.size(); ++i) {
    bool any = false;
    for (int64_t layer = 0; layer < recording.layers; ++layer) {
      for (int64_t expert = 0; expert < recording.columns; ++expert) {
        const int64_t count = recording.passes[i].At(layer, expert);
        if (count < 0 || count > kMostCount) return BadInput(fmt::format("pass {} counts {} tokens", i, count));
        if (count == 0) continue;
        any = true;
        used[static_cast<size_t>(layer)] = true;
        divisor = std::gcd(divisor, count);
        least = std::min(least, count);
        ++nonzero;
      }
    }
    if (!any) continue;
    kept.push_back(std::move(recording.passes[i]));
    numbers.push_back(recording.numbers[i]);
  }
  const bool is_ring = recording.passes.size() == kept.size() && !kept.empty() && kept.front().three;
  if (is_ring) {
    header.notes.push_back(
        "no unused row is left in the recorder's buffer: unless it has no limit, it was full, earlier passes are lost and the "
        "order is not known; start the server with --expert-distribution-recorder-buffer-size -1");
  }
  if (kept.size() < recording.passes.size()) {
    header.notes.push_back(fmt::format("{} of {} rows are all zero (unused rows of the recorder's buffer) and were left out",
                                       recording.passes.size() - kept.size(), recording.passes.size()));
  }
  recording.passes = std::move(kept);
  recording.numbers = std::move(numbers);
  ASSIGN_OR_RETURN(recording.choice, ChooseLayers(static_cast<size_t>(recording.layers), used, options));
  if (divisor > 1 && least == divisor && nonzero >= 100) {
    recording.factor = divisor;
    header.notes.push_back(fmt::format(
        "every count is a multiple of {0}, as when {0} tensor-parallel ranks count the same token; divided by {0}", divisor));
  }
  return {};
}

Status FinishCountsHeader(Recording& recording, const ImportOptions& options, TraceHeader& header) {
  RETURN_IF_ERROR(Survey(recording, options, header));
  int64_t experts = recording.columns;
  if (!recording.logical.empty()) {
    experts = 0;
    for (const auto& layer : recording.logical) experts = std::max(experts, *std::ranges::max_element(layer) + 1);
  }
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(experts, true, options, header.notes));
  header.grain = Grain::kPassCounts;
  header.top_k = options.top_k;
  header.layer_numbers = recording.choice.numbers;
  if (!recording.choice.note.empty()) header.notes.push_back(recording.choice.note);
  if (header.top_k == 0)
    header.notes.push_back("experts per token are not known, so neither are the tokens of a pass; --model would tell");
  return {};
}

Status MakeCountsPass(const Recording& recording, const TraceHeader& header, size_t index, TracePass& pass) {
  pass.number = recording.numbers[index];
  pass.kind.reset();
  pass.tokens = 0;
  const auto experts = static_cast<size_t>(header.experts);
  pass.counts.assign(header.layers() * experts, 0);
  int64_t most = 0;
  for (size_t row = 0; row < header.layers(); ++row) {
    int64_t sum = 0;
    const int64_t layer = recording.choice.rows[row];
    for (int64_t physical = 0; physical < recording.columns; ++physical) {
      const int64_t count = recording.passes[index].At(layer, physical) / recording.factor;
      pass.counts[row * experts + static_cast<size_t>(recording.Logical(layer, physical))] += count;
      sum += count;
    }
    most = std::max(most, sum);
  }
  if (header.top_k > 0 && most % header.top_k == 0) pass.tokens = most / header.top_k;
  if (pass.tokens > kMostIdsPerPass / static_cast<int64_t>(header.layers())) pass.tokens = 0;
  return {};
}

Result<std::unique_ptr<TraceSource>> CountsSource(std::shared_ptr<Recording> recording, const ImportOptions& options,
                                                  TraceHeader header) {
  RETURN_IF_ERROR(FinishCountsHeader(*recording, options, header));
  RETURN_IF_ERROR(CheckHeader(header));
  const size_t passes = recording->passes.size();
  auto make = [recording, header](size_t index, TracePass& pass) { return MakeCountsPass(*recording, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

Result<std::unique_ptr<TraceSource>> StatMode(std::shared_ptr<Recording> recording, const PickleValue& value,
                                              const ImportOptions& options, TraceHeader header) {
  ASSIGN_OR_RETURN(const IntTensor counts, recording->file.Ints(value, 3, "logical_count"));
  recording->layers = counts.size(1);
  recording->columns = counts.size(2);
  RETURN_IF_ERROR(CheckSizes(recording->layers, recording->columns));
  for (int64_t pass = 0; pass < counts.size(0); ++pass) {
    recording->passes.push_back({counts, true, pass});
    recording->numbers.push_back(pass);
  }
  return CountsSource(std::move(recording), options, std::move(header));
}

Result<std::unique_ptr<TraceSource>> PerPassMode(std::shared_ptr<Recording> recording, const PickleDict& root,
                                                 const PickleList& records, const ImportOptions& options, TraceHeader header) {
  const Pickle& pickle = recording->file.pickle();
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
    ASSIGN_OR_RETURN(IntTensor counts, recording->file.Ints(*value, 2, "global_physical_count"));
    if (recording->passes.empty()) {
      recording->layers = counts.size(0);
      recording->columns = counts.size(1);
      RETURN_IF_ERROR(CheckSizes(recording->layers, recording->columns));
    } else if (counts.size(0) != recording->layers || counts.size(1) != recording->columns) {
      return BadInput("the records have different numbers of layers or experts");
    }
    const PickleValue* id = pickle.Find(*record, "forward_pass_id");
    const auto* number = id == nullptr ? nullptr : std::get_if<int64_t>(id);
    recording->numbers.push_back(number == nullptr ? static_cast<int64_t>(recording->passes.size()) : *number);
    recording->passes.push_back({std::move(counts), false, 0});
  }
  if (others > 0) header.notes.push_back(fmt::format("{} records of other gatherers than 'primary' were left out", others));
  if (recording->passes.empty()) return BadInput("the recording holds no passes");
  RETURN_IF_ERROR(ReadPhysicalMap(root, *recording, header.notes));
  if (!recording->logical.empty() && recording->logical.front().size() != static_cast<size_t>(recording->columns)) {
    return BadInput("'last_physical_to_logical_map' has another number of experts than the counts");
  }
  return CountsSource(std::move(recording), options, std::move(header));
}

// IntEnum ForwardMode: EXTEND = 1, DECODE = 2, MIXED = 3; later ones are idle or speculative.
std::optional<record::PassKind> KindOf(const PickleValue* mode) {
  const auto* code = mode == nullptr ? nullptr : std::get_if<int64_t>(mode);
  if (code == nullptr) return std::nullopt;
  switch (*code) {
    case 1:
      return record::PassKind::kPrefill;
    case 2:
      return record::PassKind::kDecode;
    case 3:
      return record::PassKind::kMixed;
    default:
      return std::nullopt;
  }
}

std::vector<int64_t> IntegersOf(const Recording& recording, const PickleValue* value) {
  std::vector<int64_t> result;
  if (value == nullptr) return result;
  if (const auto* list = std::get_if<PickleList>(value)) {
    for (const PickleRef ref : list->items) {
      const auto* number = std::get_if<int64_t>(&recording.file.pickle().At(ref));
      if (number != nullptr) result.push_back(*number);
    }
  } else if (const auto tensor = recording.file.Ints(*value, 1, "extend_seq_lens"); tensor.ok()) {
    for (int64_t i = 0; i < tensor->size(0); ++i) result.push_back(tensor->At(i));
  }
  return result;
}

struct TokenRecording {
  Recording base;
  int64_t experts = 0;  // of the counts beside the ids; 0 = there are none
  std::vector<TokenPass> passes;
  uint32_t next_sequence = 0;
};

Status AddTokenRecord(TokenRecording& recording, const PickleDict& record) {
  const Pickle& pickle = recording.base.file.pickle();
  const PickleValue* value = pickle.Find(record, "topk_ids_of_layer");
  if (value == nullptr) return BadInput("a record lacks 'topk_ids_of_layer'");
  TokenPass pass;
  ASSIGN_OR_RETURN(pass.ids, recording.base.file.Ints(*value, 3, "topk_ids_of_layer"));
  if (recording.passes.empty()) {
    recording.base.layers = pass.ids.size(0);
    recording.base.columns = pass.ids.size(2);
    RETURN_IF_ERROR(CheckSizes(recording.base.layers, recording.base.columns));
  } else if (pass.ids.size(0) != recording.base.layers || pass.ids.size(2) != recording.base.columns) {
    return BadInput("the records have different numbers of layers or experts per token");
  }
  if (const PickleValue* counts = pickle.Find(record, "global_physical_count"); counts != nullptr && recording.experts == 0) {
    ASSIGN_OR_RETURN(const IntTensor tensor, recording.base.file.Ints(*counts, 2, "global_physical_count"));
    recording.experts = tensor.size(1);
  }
  pass.kind = KindOf(pickle.Find(record, "forward_mode"));
  pass.extend_lengths = IntegersOf(recording.base, pickle.Find(record, "extend_seq_lens"));
  recording.passes.push_back(std::move(pass));
  return {};
}

// Experts per token, the highest id, and which layers are used.
Status SurveyIds(const TokenRecording& recording, int64_t& top_k, int64_t& highest, std::vector<bool>& used) {
  for (const TokenPass& pass : recording.passes) {
    for (int64_t layer = 0; layer < pass.ids.size(0); ++layer) {
      for (int64_t token = 0; token < pass.ids.size(1); ++token) {
        int64_t chosen = 0, zeros = 0;
        for (int64_t k = 0; k < pass.ids.size(2); ++k) {
          const int64_t id = pass.ids.At(layer, token, k);
          if (id < -1 || id >= kMostExperts) return BadInput(fmt::format("a token was routed to expert {}", id));
          if (id < 0) continue;
          ++chosen;
          zeros += id == 0;
          highest = std::max(highest, id);
        }
        if (chosen > 1 && zeros == chosen) continue;  // dense layers may be filled with zeros
        top_k = std::max(top_k, chosen);
        if (chosen > 0) used[static_cast<size_t>(layer)] = true;
      }
    }
  }
  return {};
}

Status MakeTokenPass(TokenRecording& recording, const TraceHeader& header, size_t index, TracePass& pass) {
  const TokenPass& from = recording.passes[index];
  pass.number = static_cast<int64_t>(index);
  pass.kind = from.kind;
  pass.tokens = from.ids.size(1);
  const auto top_k = static_cast<size_t>(header.top_k);
  if (pass.tokens > kMostIdsPerPass / static_cast<int64_t>(header.layers() * top_k))
    return BadInput(fmt::format("a pass of {} tokens", pass.tokens));
  pass.ids.assign(header.layers() * static_cast<size_t>(pass.tokens) * top_k, kNoExpert);
  for (size_t row = 0; row < header.layers(); ++row) {
    for (int64_t token = 0; token < pass.tokens; ++token) {
      uint16_t* out = pass.ids.data() + (row * static_cast<size_t>(pass.tokens) + static_cast<size_t>(token)) * top_k;
      size_t filled = 0;
      for (int64_t k = 0; k < from.ids.size(2) && filled < top_k; ++k) {
        const int64_t id = from.ids.At(recording.base.choice.rows[row], token, k);
        if (id >= 0) out[filled++] = static_cast<uint16_t>(id);
      }
      // A path that bypasses the recorder leaves one id in all columns: not recorded.
      if (filled > 1 && std::ranges::count(out, out + filled, out[0]) > 1) std::fill(out, out + top_k, kNoExpert);
    }
  }
  // Extended sequences lie one after the other; nothing says which sequence of an earlier pass they continue.
  if (std::accumulate(from.extend_lengths.begin(), from.extend_lengths.end(), int64_t{0}) != pass.tokens) return {};
  for (const int64_t length : from.extend_lengths) {
    if (length < 0) return BadInput("a negative length in 'extend_seq_lens'");
    pass.sequences.insert(pass.sequences.end(), static_cast<size_t>(length), recording.next_sequence++);
  }
  return {};
}

Result<std::unique_ptr<TraceSource>> PerTokenMode(std::shared_ptr<Recording> base, const PickleDict& root,
                                                  const PickleList& records, const ImportOptions& options, TraceHeader header) {
  auto recording = std::make_shared<TokenRecording>();
  recording->base = std::move(*base);
  for (const PickleRef ref : records.items) {
    const PickleDict* record = AsDict(recording->base.file.pickle().At(ref));
    if (record == nullptr) return BadInput("a record is not a dict");
    RETURN_IF_ERROR(AddTokenRecord(*recording, *record));
  }
  int64_t top_k = 0, highest = -1;
  std::vector<bool> used(static_cast<size_t>(recording->base.layers));
  RETURN_IF_ERROR(SurveyIds(*recording, top_k, highest, used));
  ASSIGN_OR_RETURN(recording->base.choice, ChooseLayers(used.size(), used, options));
  RETURN_IF_ERROR(ReadPhysicalMap(root, recording->base, header.notes));
  if (!recording->base.logical.empty())
    return BadInput("ids of moved experts (EPLB) cannot be told apart; record with --enable-eplb off");
  if (recording->experts > 0 && highest >= recording->experts)
    return BadInput(fmt::format("a token was routed to expert {} of {}", highest, recording->experts));
  const bool exact = recording->experts > 0;
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(exact ? recording->experts : highest + 1, exact, options, header.notes));
  header.grain = Grain::kTokenIds;
  header.top_k = options.top_k > 0 ? options.top_k : static_cast<int>(top_k);
  if (top_k > header.top_k)
    return BadInput(fmt::format("tokens have {} experts, {} has top-{}: another model?", top_k, options.model, options.top_k));
  header.layer_numbers = recording->base.choice.numbers;
  if (!recording->base.choice.note.empty()) header.notes.push_back(recording->base.choice.note);
  RETURN_IF_ERROR(CheckHeader(header));
  const size_t passes = recording->passes.size();
  auto make = [recording, header](size_t index, TracePass& pass) { return MakeTokenPass(*recording, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportSglang(std::span<const std::byte> bytes, std::shared_ptr<void> owner,
                                                  const ImportOptions& options) {
  auto recording = std::make_shared<Recording>();
  recording->owner = std::move(owner);
  ASSIGN_OR_RETURN(recording->file, TorchFile::Parse(bytes));
  const Pickle& pickle = recording->file.pickle();
  const PickleDict* root = AsDict(pickle.root());
  if (root == nullptr) return BadInput("not a recording of SGLang: its root is not a dict");
  TraceHeader header;
  header.origin = "sglang";
  header.model = options.model;
  if (const PickleValue* counts = pickle.Find(*root, "logical_count"))
    return StatMode(recording, *counts, options, std::move(header));
  const PickleValue* value = pickle.Find(*root, "records");
  const auto* records = value == nullptr ? nullptr : std::get_if<PickleList>(value);
  if (records == nullptr) return BadInput("not a recording of SGLang: it has neither 'logical_count' nor 'records'");
  if (records->items.empty()) return BadInput("the recording holds no passes");
  const PickleDict* first = AsDict(pickle.At(records->items.front()));
  if (first != nullptr && pickle.Find(*first, "topk_ids_of_layer") != nullptr) {
    return PerTokenMode(recording, *root, *records, options, std::move(header));
  }
  return PerPassMode(recording, *root, *records, options, std::move(header));
}

}  // namespace moecap::trace
