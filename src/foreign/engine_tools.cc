// llama-bench (tools/llama-bench/llama-bench.cpp: JSON, JSON lines, CSV) and the output files of MoE-CAP and TEASBench
// (metrics_*.json with metadata_*.json, docs/formats/upstream_files.md).
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/csv.h"
#include "foreign/readers.h"

namespace moecap::foreign {
namespace {

using cap::FigureId;

// What sets one test apart from others, its prompt and its length aside.
std::string VariantOf(const Json& row) {
  std::string variant;
  const auto add = [&](const char* key, const char* name, double usual) {
    const auto value = NumberOf(row, {key});
    if (value && *value != usual) variant += fmt::format("{}{} {:g}", variant.empty() ? "" : ", ", name, *value);
  };
  add("n_gpu_layers", "GPU layers", -1);
  add("n_threads", "threads", -1);
  add("n_cpu_moe", "CPU MoE layers", 0);
  add("n_depth", "depth", 0);
  const std::string kv = TextOf(row, {"type_k"});
  if (!kv.empty() && kv != "f16") variant += fmt::format("{}KV {}", variant.empty() ? "" : ", ", kv);
  return variant;
}

Cell CellOfTest(const Json& row) {
  Cell cell;
  cell.model = TextOf(row, {"model_filename"});
  if (const size_t slash = cell.model.rfind('/'); slash != std::string::npos) cell.model.erase(0, slash + 1);
  cell.weight_type = TextOf(row, {"model_type"});
  cell.engine = fmt::format("llama.cpp {}{}{}", TextOf(row, {"build_commit"}), TextOf(row, {"backends"}).empty() ? "" : ", ",
                            TextOf(row, {"backends"}));
  const std::string gpu = TextOf(row, {"gpu_info"});
  cell.machine = gpu.empty() ? TextOf(row, {"cpu_info"}) : gpu;
  cell.variant = VariantOf(row);
  cell.started_at = IsoTime(TextOf(row, {"test_time"}));
  cell.level = {record::LoadKind::kClients, 1};
  return cell;
}

// Tests of the same settings are one system: generation gives its figures, prompt processing a note.
void AddTest(const Json& row, std::map<std::string, size_t>& cell_of, ResultFile& file) {
  Cell test = CellOfTest(row);
  const std::string key = test.model + "\n" + test.engine + "\n" + test.machine + "\n" + test.variant;
  const auto [found, is_new] = cell_of.emplace(key, file.cells.size());
  if (is_new) file.cells.push_back(std::move(test));
  Cell& cell = file.cells[found->second];
  const double prompt = NumberOf(row, {"n_prompt"}).value_or(0), generated = NumberOf(row, {"n_gen"}).value_or(0);
  const auto rate = NumberOf(row, {"avg_ts"});
  if (!rate || !(*rate > 0)) return;
  const double spread = NumberOf(row, {"stddev_ts"}).value_or(0);
  if (generated > 0 && prompt == 0) {
    cell.figures[FigureId::kOutputRate] = *rate;
    cell.figures[FigureId::kTpotMean] = 1 / *rate;
    cell.figures[FigureId::kOutputTokens] = generated;
    cell.notes.push_back(fmt::format("tg{:g}: {:.2f} ± {:.2f} tokens/s", generated, *rate, spread));
  } else {
    cell.notes.push_back(fmt::format("{}{:g}{}: {:.2f} ± {:.2f} tokens/s of prompt", generated > 0 ? "pp+tg" : "pp", prompt,
                                     generated > 0 ? fmt::format("+{:g}", generated) : "", *rate, spread));
  }
}

Cell CellOfMetrics(const Json& metrics, const Json& metadata) {
  Cell cell;
  if (const Json* model = Inside(metadata, {"model_config"})) {
    cell.model = TextOf(*model, {"model_name"});
    cell.weight_type = TextOf(*model, {"precision"});
  }
  if (const Json* environment = Inside(metadata, {"system_environment"}))
    cell.engine =
        fmt::format("{} {}", TextOf(*environment, {"inference_engine"}), TextOf(*environment, {"inference_engine_version"}));
  if (const Json* hardware = Inside(metadata, {"hardware"})) {
    const auto devices = NumberOf(*hardware, {"num_gpus"});
    cell.machine = fmt::format("{}{}", devices ? fmt::format("{:g} x ", *devices) : "", TextOf(*hardware, {"gpu_type"}));
  }
  const Json empty = Json::object();
  const auto part = [&](const char* name) -> const Json& {
    const Json* found = Inside(metrics, {name});
    return found == nullptr ? empty : *found;
  };
  const Json &performance = part("performance"), &quality = part("quality"), &tokens = part("batch_token_profile"),
             &experts = part("expert_activation");
  cap::FigureValues& figures = cell.figures;
  figures[FigureId::kTtftMean] = NumberOf(performance, {"ttft"});
  figures[FigureId::kTpotMean] = NumberOf(performance, {"tpot"});
  figures[FigureId::kRequestRate] = NumberOf(performance, {"request/s"});
  figures[FigureId::kAccuracy] = NumberOf(quality, {"acc"});
  figures[FigureId::kScored] = NumberOf(quality, {"total"});
  figures[FigureId::kRequests] = NumberOf(quality, {"attempted"});
  figures[FigureId::kCompleted] = NumberOf(quality, {"completed"});
  figures[FigureId::kInputTokens] = NumberOf(tokens, {"prefill_tokens_per_request"});
  figures[FigureId::kOutputTokens] = NumberOf(tokens, {"decode_generated_tokens_per_request"});
  // 0 is what its recorder writes where it recorded nothing.
  if (const auto distinct = NumberOf(experts, {"avg_expert_activation_decode"}); distinct && *distinct > 0)
    figures[FigureId::kDistinctExperts] = distinct;
  for (const auto& [id, key] : {std::pair{FigureId::kPrefillSMbu, "prefill_smbu"},
                                {FigureId::kPrefillSMfu, "prefill_smfu"},
                                {FigureId::kDecodeSMbuPaper, "decoding_smbu"},
                                {FigureId::kDecodeSMfuPaper, "decoding_smfu"}}) {
    figures[id] = NumberOf(metrics, {key});
  }
  if (!figures[FigureId::kTtftMean]) figures[FigureId::kTtftMean] = NumberOf(metrics, {"ttft"});
  if (!figures[FigureId::kTpotMean]) figures[FigureId::kTpotMean] = NumberOf(metrics, {"tpot"});
  const auto batch = Inside(metadata, {"system_environment"}) == nullptr
                         ? std::nullopt
                         : NumberOf(*Inside(metadata, {"system_environment"}), {"batch_size"});
  SetLevel(batch, std::nullopt, figures[FigureId::kRequests], cell);
  return cell;
}

}  // namespace

std::optional<Result<ResultFile>> ReadLlamaBench(const std::vector<Json>& documents) {
  ResultFile file;
  file.tool = Tool::kLlamaBench;
  std::map<std::string, size_t> cell_of;
  for (const Json& row : documents) {
    if (!row.is_object() || !row.contains("avg_ts") || !row.contains("model_filename")) return std::nullopt;
    file.version = TextOf(row, {"build_commit"});
    AddTest(row, cell_of, file);
  }
  if (file.cells.empty()) return std::nullopt;
  return Result<ResultFile>(std::move(file));
}

Result<ResultFile> ReadLlamaBenchCsv(std::string_view text) {
  CsvReader csv(text);
  std::vector<std::string> header, cells;
  ASSIGN_OR_RETURN(bool more, csv.Next(header));
  std::vector<Json> rows;
  for (;;) {
    ASSIGN_OR_RETURN(more, csv.Next(cells));
    if (!more) break;
    Json row = Json::object();
    for (size_t i = 0; i < std::min(cells.size(), header.size()); ++i) row[header[i]] = cells[i];
    rows.push_back(std::move(row));
  }
  if (auto read = ReadLlamaBench(rows)) return *std::move(read);
  return BadInput("a CSV without the columns of llama-bench, or without a row");
}

std::optional<Result<ResultFile>> ReadMoeCap(const std::vector<Json>& documents, const Json& metadata) {
  ResultFile file;
  file.tool = Tool::kMoeCap;
  for (const Json& metrics : documents) {
    const bool known =
        Inside(metrics, {"performance"}) != nullptr || (metrics.is_object() && metrics.contains("decoding_smbu"));
    if (!known) return std::nullopt;
    file.cells.push_back(CellOfMetrics(metrics, metadata));
  }
  if (file.cells.empty()) return std::nullopt;
  return Result<ResultFile>(std::move(file));
}

}  // namespace moecap::foreign
