// SGLang's expert distribution recorder, mode per_token: the ids of every token.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "trace/id_columns.h"
#include "trace/sglang_recording.h"

namespace moecap::trace {
namespace {

struct TokenPass {
  IntTensor ids;  // [layer][token][column]
  int64_t number = 0;
  std::optional<record::PassKind> kind;
  std::vector<int64_t> extend_lengths;
};

struct TokenRecording {
  std::shared_ptr<SglangFile> file;
  int64_t layers = 0, columns = 0;
  int64_t experts = 0;  // of the counts beside the ids; 0 = there are none
  std::vector<TokenPass> passes;
  std::optional<IdColumns> ids;
  Placement placement;
  LayerChoice choice;
  uint32_t next_sequence = 0;
  std::vector<int64_t> row;

  const std::vector<int64_t>& Row(const TokenPass& pass, int64_t layer, int64_t token) {
    row.clear();
    for (int64_t column = 0; column < columns; ++column) row.push_back(pass.ids.At(layer, token, column));
    return row;
  }
};

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

std::vector<int64_t> IntegersOf(const SglangFile& file, const PickleValue* value) {
  std::vector<int64_t> result;
  if (value == nullptr) return result;
  if (const auto* list = std::get_if<PickleList>(value)) {
    for (const PickleRef ref : list->items) {
      const auto* number = std::get_if<int64_t>(&file.torch.pickle().At(ref));
      if (number != nullptr) result.push_back(*number);
    }
  } else if (const auto tensor = file.torch.Ints(*value, 1, "extend_seq_lens"); tensor.ok()) {
    for (int64_t i = 0; i < tensor->size(0); ++i) result.push_back(tensor->At(i));
  }
  return result;
}

Status AddRecord(TokenRecording& recording, const PickleDict& record) {
  const Pickle& pickle = recording.file->torch.pickle();
  const PickleValue* value = pickle.Find(record, "topk_ids_of_layer");
  if (value == nullptr) return BadInput("a record lacks 'topk_ids_of_layer'");
  TokenPass pass;
  ASSIGN_OR_RETURN(pass.ids, recording.file->torch.Ints(*value, 3, "topk_ids_of_layer"));
  if (recording.passes.empty()) {
    recording.layers = pass.ids.size(0);
    recording.columns = pass.ids.size(2);
    RETURN_IF_ERROR(CheckTableSize(recording.layers, recording.columns));
  } else if (pass.ids.size(0) != recording.layers || pass.ids.size(2) != recording.columns) {
    return BadInput("the records have different numbers of layers or experts per token");
  }
  if (const PickleValue* counts = pickle.Find(record, "global_physical_count"); counts != nullptr && recording.experts == 0) {
    ASSIGN_OR_RETURN(const IntTensor tensor, recording.file->torch.Ints(*counts, 2, "global_physical_count"));
    recording.experts = tensor.size(1);
  }
  pass.number = NumberOf(pickle, record, recording.passes.size());
  pass.kind = KindOf(pickle.Find(record, "forward_mode"));
  pass.extend_lengths = IntegersOf(*recording.file, pickle.Find(record, "extend_seq_lens"));
  recording.passes.push_back(std::move(pass));
  return {};
}

// Every id, and which layers are used: those with a row that is not one value throughout (dense ones are filled with zeros).
Status Survey(TokenRecording& recording, std::vector<bool>& used) {
  recording.ids.emplace(static_cast<size_t>(recording.columns));
  for (const TokenPass& pass : recording.passes) {
    for (int64_t layer = 0; layer < recording.layers; ++layer) {
      for (int64_t token = 0; token < pass.ids.size(1); ++token) {
        const std::vector<int64_t>& row = recording.Row(pass, layer, token);
        for (const int64_t id : row) {
          if (id < -1) return BadInput(fmt::format("a token was routed to expert {}: an id that wrapped around?", id));
        }
        recording.ids->Survey(row);
        const bool one_value = std::ranges::all_of(row, [&row](int64_t id) { return id == row.front(); });
        if (row.size() == 1 ? row.front() > 0 : !one_value) used[static_cast<size_t>(layer)] = true;
      }
    }
  }
  return {};
}

// Cleans every row once, to know what there is to say.
Status Inspect(TokenRecording& recording, std::vector<std::string>& notes) {
  std::vector<uint16_t> ids;
  for (const TokenPass& pass : recording.passes) {
    for (const int layer : recording.choice.rows) {
      for (int64_t token = 0; token < pass.ids.size(1); ++token) recording.ids->Clean(recording.Row(pass, layer, token), ids);
    }
  }
  return recording.ids->Check(notes);
}

Status MakePass(TokenRecording& recording, const TraceHeader& header, size_t index, TracePass& pass) {
  const TokenPass& from = recording.passes[index];
  pass.number = from.number;
  pass.kind = from.kind;
  pass.tokens = from.ids.size(1);
  const auto top_k = static_cast<size_t>(header.top_k);
  if (pass.tokens > kMostIdsPerPass / static_cast<int64_t>(header.layers() * top_k))
    return BadInput(fmt::format("a pass of {} tokens", pass.tokens));
  pass.ids.reserve(header.layers() * static_cast<size_t>(pass.tokens) * top_k);
  std::vector<uint16_t> ids;
  for (const int layer : recording.choice.rows) {
    for (int64_t token = 0; token < pass.tokens; ++token) {
      if (!recording.ids->Clean(recording.Row(from, layer, token), ids)) ids.assign(top_k, kNoExpert);
      if (!recording.placement.experts.empty()) {
        for (uint16_t& id : ids) {
          if (id != kNoExpert) id = static_cast<uint16_t>(recording.placement.experts[static_cast<size_t>(layer)][id]);
        }
      }
      pass.ids.insert(pass.ids.end(), ids.begin(), ids.end());
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

// What the ids may be: places, where the file says how many there are, else the model's experts.
IdLimits LimitsOf(const TokenRecording& recording, const ImportOptions& options) {
  IdLimits limits{options.experts, options.zero_experts, options.top_k, INT64_MAX};
  if (recording.placement.places > 0) limits.experts = static_cast<int>(recording.placement.places);
  if (recording.experts > 0) limits.experts = static_cast<int>(std::min<int64_t>(recording.experts, kMostPlaces));
  if (limits.experts == options.experts + options.zero_experts) limits.experts = options.experts;
  return limits;
}

Result<TraceHeader> HeaderOf(TokenRecording& recording, const PickleList& records, const ImportOptions& options) {
  TraceHeader header;
  header.origin = "sglang";
  header.model = options.model;
  header.grain = Grain::kTokenIds;
  std::vector<bool> used(static_cast<size_t>(recording.layers));
  RETURN_IF_ERROR(Survey(recording, used));
  ASSIGN_OR_RETURN(recording.choice, ChooseLayers(used.size(), used, options));
  ASSIGN_OR_RETURN(recording.placement, ReadPlacement(*recording.file, recording.layers));
  const IdLimits limits = LimitsOf(recording, options);
  RETURN_IF_ERROR(recording.ids->Choose(limits, header.notes));
  RETURN_IF_ERROR(Inspect(recording, header.notes));
  header.top_k = recording.ids->top_k();
  const bool exact = limits.experts > 0;
  int64_t experts = exact ? limits.experts : recording.ids->highest() + 1;
  if (!recording.placement.experts.empty()) {
    if (recording.placement.places < limits.experts)
      return BadInput("'last_physical_to_logical_map' has another number of experts than the counts");
    header.notes.emplace_back(kMovedExperts);
    header.share.physical_experts = static_cast<int>(recording.placement.places);
    experts = recording.placement.logical;
  }
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(experts, exact, options, header.notes));
  header.layer_numbers = recording.choice.numbers;
  if (!recording.choice.note.empty()) header.notes.push_back(recording.choice.note);
  ASSIGN_OR_RETURN(const int rank, RankOf(*recording.file, records));
  DescribeRank(rank, options, header);
  RETURN_IF_ERROR(CheckHeader(header));
  return header;
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportSglangTokens(std::shared_ptr<SglangFile> file, const PickleList& records,
                                                        const ImportOptions& options) {
  auto recording = std::make_shared<TokenRecording>();
  recording->file = std::move(file);
  for (const PickleRef ref : records.items) {
    const auto* record = std::get_if<PickleDict>(&recording->file->torch.pickle().At(ref));
    if (record == nullptr) return BadInput("a record is not a dict");
    RETURN_IF_ERROR(AddRecord(*recording, *record));
  }
  ASSIGN_OR_RETURN(const TraceHeader header, HeaderOf(*recording, records, options));
  const size_t passes = recording->passes.size();
  auto make = [recording, header](size_t index, TracePass& pass) { return MakePass(*recording, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

}  // namespace moecap::trace
