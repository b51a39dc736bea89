// moecap's own passes.jsonl: the passes with expert_counts, in the file or in the routing.moetrace beside it.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "record/jsonl.h"
#include "trace/importers.h"
#include "trace/line_reader.h"
#include "trace/pass_routing.h"

namespace moecap::trace {
namespace {

class PassesSource final : public TraceSource {
 public:
  PassesSource(LineReader lines, PassRouting routing, std::optional<record::CellId> cell)
      : lines_(std::move(lines)), routing_(std::move(routing)), cell_(std::move(cell)) {}

  const TraceHeader& header() const override { return header_; }

  // Reads up to the first pass with counts, which gives the header.
  Status Begin(const ImportOptions& options) {
    ASSIGN_OR_RETURN(const bool found, NextRecord());
    if (!found)
      return BadInput("no pass has expert_counts; record the routing, or use the distinct experts with `moecap metrics`");
    header_.grain = Grain::kPassCounts;
    header_.origin = "moecap";
    header_.model = options.model;
    const size_t layers = record_.expert_counts.size();
    size_t experts = 0;
    for (const auto& layer : record_.expert_counts) experts = std::max(experts, layer.size());
    ASSIGN_OR_RETURN(header_.experts, ChooseExperts(static_cast<int64_t>(experts), true, options, header_.notes));
    header_.top_k = options.top_k > 0 ? options.top_k : TopKOf(record_);
    if (!options.moe_layers.empty() && options.moe_layers.size() != layers) {
      return BadInput(fmt::format("{} layers are recorded, {} has {} MoE layers: another model?", layers, options.model,
                                  options.moe_layers.size()));
    }
    header_.layer_numbers = options.moe_layers;
    if (options.moe_layers.empty()) {
      header_.layer_numbers.resize(layers);
      std::iota(header_.layer_numbers.begin(), header_.layer_numbers.end(), 0);
      header_.notes.push_back("layers are numbered among the MoE layers; --model would give the model's numbers");
    }
    header_.notes.push_back("counts per pass: single tokens and sequences are not recorded");
    header_.share.cell = moecap::trace::Name(record_.cell);
    header_.share.ranks = {0};
    if (options.ranks > 0) header_.share.world = options.ranks;
    if (!cell_) cell_ = record_.cell;
    pending_ = true;
    return CheckHeader(header_);
  }

  Result<bool> Next(TracePass& pass) override {
    if (!pending_) {
      ASSIGN_OR_RETURN(const bool found, NextRecord());
      if (!found) return false;
    }
    pending_ = false;
    const auto experts = static_cast<size_t>(header_.experts);
    if (record_.expert_counts.size() != header_.layers())
      return BadInput(fmt::format("line {}: another number of layers", lines_.line_number()));
    pass.number = number_++;
    pass.kind = record_.kind;
    pass.tokens = std::max<int64_t>(0, record_.NewTokens());
    pass.sequences.clear();
    pass.ids.clear();
    pass.counts.assign(header_.layers() * experts, 0);
    for (size_t layer = 0; layer < header_.layers(); ++layer) {
      const auto& counts = record_.expert_counts[layer];
      if (counts.size() > experts)
        return BadInput(fmt::format("line {}: {} experts, not {}", lines_.line_number(), counts.size(), experts));
      std::ranges::copy(counts, pass.counts.begin() + static_cast<std::ptrdiff_t>(layer * experts));
    }
    const Status checked = CheckPass(header_, pass);
    if (!checked.ok()) return Annotate(fmt::format("line {}", lines_.line_number()), checked.error());
    return true;
  }

  std::vector<std::string> Warnings() const override {
    std::vector<std::string> warnings;
    if (without_ > 0) warnings.push_back(fmt::format("{} passes without expert_counts were left out", without_));
    if (other_ranks_ > 0)
      warnings.push_back(
          fmt::format("{} records of other ranks than 0 were left out: rank 0 holds what all of them computed", other_ranks_));
    if (other_replicas_ > 0)
      warnings.push_back(
          fmt::format("{} passes are of other replicas than 0 and count as passes of their own", other_replicas_));
    return warnings;
  }

 private:
  // Tokens x k assignments in every full layer; an engine may route fewer rows in its last layer.
  static int TopKOf(const record::PassRecord& pass) {
    const int64_t tokens = pass.NewTokens();
    int64_t most = 0;
    for (const auto& layer : pass.expert_counts) most = std::max(most, std::accumulate(layer.begin(), layer.end(), int64_t{0}));
    const int64_t top_k = tokens > 0 && most % tokens == 0 ? most / tokens : 0;
    return top_k >= 1 && top_k <= kMostTopK ? static_cast<int>(top_k) : 0;
  }

  // Before anything multiplies them.
  Status CheckTokens() const {
    double tokens = 0;
    for (const record::SequenceSlice& slice : record_.sequences)
      tokens += static_cast<double>(slice.new_tokens) * static_cast<double>(slice.count);
    if (tokens <= static_cast<double>(kMostIdsPerPass)) return {};
    return BadInput(fmt::format("line {}: {} new tokens in one pass", lines_.line_number(), tokens));
  }

  Result<bool> NextRecord() {
    for (;;) {
      std::string_view line;
      ASSIGN_OR_RETURN(const bool more, lines_.Next(line));
      if (!more) {
        RETURN_IF_ERROR(routing_.CheckEnd());
        return false;
      }
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      auto record = record::ParsePassLine(line);
      if (!record.ok()) return Annotate(fmt::format("line {}", lines_.line_number()), record.error());
      record_ = std::move(record).value();
      RETURN_IF_ERROR(routing_.Fill(place_++, record_));
      RETURN_IF_ERROR(CheckTokens());
      if (record_.cell.repeat < 0) continue;
      if (cell_ && record_.cell != *cell_) {
        if (asked_) continue;
        return BadInput(fmt::format("line {}: a pass of the cell {} after those of {}: name one of them with --cell",
                                    lines_.line_number(), moecap::trace::Name(record_.cell), moecap::trace::Name(*cell_)));
      }
      if (record_.rank != 0) {
        ++other_ranks_;
        continue;
      }
      if (record_.replica != 0) ++other_replicas_;
      if (!record_.expert_counts.empty()) return true;
      ++without_;
    }
  }

  LineReader lines_;
  PassRouting routing_;
  int64_t place_ = 0;
  TraceHeader header_;
  record::PassRecord record_;
  bool pending_ = false;
  int64_t number_ = 0;
  int64_t without_ = 0, other_ranks_ = 0, other_replicas_ = 0;
  std::optional<record::CellId> cell_;
  bool asked_ = cell_.has_value();  // for that cell: others are passed over
};

}  // namespace

std::string Name(const record::CellId& cell) {
  if (cell.system.empty()) return "";
  return fmt::format(
      "{}{}, repetition {}", cell.system,
      cell.concurrency > 0 ? fmt::format(", {} client{}", cell.concurrency, cell.concurrency == 1 ? "" : "s") : "",
      cell.repeat);
}

Result<std::vector<record::CellId>> CellsOf(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path));
  ASSIGN_OR_RETURN(PassRouting routing, PassRouting::Beside(path));
  std::vector<record::CellId> cells;
  std::string_view line;
  for (int64_t place = 0;;) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(line));
    if (!more) return cells;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto record = record::ParsePassLine(line);
    if (!record.ok()) return Annotate(fmt::format("{}:{}", path.string(), lines.line_number()), record.error());
    RETURN_IF_ERROR(routing.Fill(place++, *record));
    if (record->expert_counts.empty() || record->cell.repeat < 0) continue;
    if (std::ranges::find(cells, record->cell) == cells.end()) cells.push_back(record->cell);
  }
}

Result<std::unique_ptr<TraceSource>> ImportPasses(const std::filesystem::path& path, const ImportOptions& options) {
  ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path));
  ASSIGN_OR_RETURN(PassRouting routing, PassRouting::Beside(path));
  auto source = std::make_unique<PassesSource>(std::move(lines), std::move(routing), options.cell);
  RETURN_IF_ERROR(source->Begin(options));
  return std::unique_ptr<TraceSource>(std::move(source));
}

}  // namespace moecap::trace
