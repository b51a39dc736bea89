#include "trace/pass_routing.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>

#include "record/jsonl.h"
#include "trace/import.h"
#include "trace/moetrace.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

// Null where the counts have no common shape, or one that no trace has.
std::optional<TraceHeader> RoutingHeader(const model::ModelSpec& model, std::span<const record::PassRecord> passes) {
  const auto first = std::ranges::find_if(passes, [](const auto& pass) { return !pass.expert_counts.empty(); });
  if (first == passes.end()) return std::nullopt;
  const size_t layers = first->expert_counts.size(), experts = first->expert_counts.front().size();
  for (const record::PassRecord& pass : passes) {
    const bool alike = pass.expert_counts.size() == layers && std::ranges::all_of(pass.expert_counts, [&](const auto& layer) {
                         return layer.size() == experts && std::ranges::all_of(layer, [](int32_t count) { return count >= 0; });
                       });
    if (!pass.expert_counts.empty() && !alike) return std::nullopt;
  }
  TraceHeader header;
  header.grain = Grain::kPassCounts;
  header.experts = static_cast<int>(experts);
  header.top_k = model.TopK() <= header.experts ? model.TopK() : 0;
  for (size_t i = 0; i < model.layers.size(); ++i) {
    if (model.layers[i].ffn.moe()) header.layer_numbers.push_back(static_cast<int>(i));
  }
  if (header.layers() != layers) {
    header.layer_numbers.resize(layers);
    std::iota(header.layer_numbers.begin(), header.layer_numbers.end(), 0);
  }
  header.model = model.id;
  header.origin = "moecap";
  header.share.cell = Name(first->cell);
  header.share.ranks = {first->rank};
  header.notes = {"counts per pass: single tokens and sequences are not recorded"};
  const int64_t per_token = static_cast<int64_t>(layers) * std::max(1, header.top_k);
  const bool fits = std::ranges::all_of(
      passes, [&](const record::PassRecord& pass) { return pass.NewTokens() <= kMostIdsPerPass / per_token; });
  return fits && CheckHeader(header).ok() ? std::optional(std::move(header)) : std::nullopt;
}

Status WriteTrace(const fs::path& file, const TraceHeader& header, std::span<const record::PassRecord> passes) {
  ASSIGN_OR_RETURN(MoetraceWriter writer, MoetraceWriter::Create(file, header));
  TracePass out;
  for (size_t i = 0; i < passes.size(); ++i) {
    const record::PassRecord& pass = passes[i];
    if (pass.expert_counts.empty()) continue;
    out.number = static_cast<int64_t>(i);
    out.kind = pass.kind;
    out.tokens = pass.NewTokens();
    out.counts.clear();
    for (const auto& layer : pass.expert_counts) out.counts.insert(out.counts.end(), layer.begin(), layer.end());
    RETURN_IF_ERROR(writer.Write(out));
  }
  return writer.Close();
}

}  // namespace

Result<bool> WritePassRouting(const fs::path& folder, const model::ModelSpec& model,
                              std::span<const record::PassRecord> passes) {
  const fs::path file = folder / kRoutingFile, draft = folder / fmt::format("{}.new", kRoutingFile);
  std::error_code error;
  const std::optional<TraceHeader> header = RoutingHeader(model, passes);
  if (!header) {
    fs::remove(file, error);
    return false;
  }
  RETURN_IF_ERROR(WriteTrace(draft, *header, passes));
  fs::rename(draft, file, error);
  if (error) return Failed(fmt::format("cannot write {}: {}", file.string(), error.message()));
  return true;
}

Result<PassRouting> PassRouting::Beside(const fs::path& passes_file) {
  PassRouting routing;
  const fs::path file = passes_file.parent_path() / kRoutingFile;
  std::error_code error;
  if (!fs::exists(file, error)) return routing;
  ASSIGN_OR_RETURN(routing.source_, MoetraceReader::Open(file));
  routing.name_ = file.string();
  if (routing.source_->header().grain != Grain::kPassCounts)
    return BadInput(fmt::format("{} does not hold the tokens per expert of passes", routing.name_));
  RETURN_IF_ERROR(routing.Advance());
  return routing;
}

Status PassRouting::Advance() {
  ASSIGN_OR_RETURN(has_next_, source_->Next(next_));
  return {};
}

Status PassRouting::Fill(int64_t place, record::PassRecord& pass) {
  if (source_ == nullptr || !has_next_ || next_.number > place) return {};
  if (next_.number != place || next_.tokens != pass.NewTokens() || !pass.expert_counts.empty())
    return BadInput(fmt::format("{} is of other passes than those beside it; copy the whole folder of the run again", name_));
  const size_t layers = source_->header().layers();
  const auto experts = static_cast<size_t>(source_->header().experts);
  pass.expert_counts.assign(layers, std::vector<int32_t>(experts));
  for (size_t i = 0; i < next_.counts.size(); ++i) {
    if (next_.counts[i] > std::numeric_limits<int32_t>::max())
      return BadInput(fmt::format("{}: pass {} has a count of {}", name_, place, next_.counts[i]));
    pass.expert_counts[i / experts][i % experts] = static_cast<int32_t>(next_.counts[i]);
  }
  return Advance();
}

Status PassRouting::CheckEnd() {
  if (source_ == nullptr) return {};
  if (!has_next_ && source_->Warnings().empty()) return {};
  return BadInput(
      fmt::format("{} is cut off, or of other passes than those beside it; copy the whole folder of the run again", name_));
}

Result<std::vector<record::PassRecord>> ReadRoutedPasses(const fs::path& passes_file) {
  ASSIGN_OR_RETURN(std::vector<record::PassRecord> passes, record::ReadPasses(passes_file));
  ASSIGN_OR_RETURN(PassRouting routing, PassRouting::Beside(passes_file));
  for (size_t i = 0; i < passes.size(); ++i) RETURN_IF_ERROR(routing.Fill(static_cast<int64_t>(i), passes[i]));
  RETURN_IF_ERROR(routing.CheckEnd());
  return passes;
}

}  // namespace moecap::trace
