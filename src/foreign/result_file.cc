#include "foreign/result_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/csv.h"
#include "base/fs.h"
#include "base/lines.h"
#include "base/python_json.h"
#include "foreign/readers.h"

namespace moecap::foreign {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostDocuments = 100'000;

constexpr std::array kNames = {"vllm bench serve", "SGLang bench_serving", "AIPerf", "GenAI-Perf",
                               "GuideLLM",         "llama-bench",          "MoE-CAP"};

// An infinite request rate is a finding, not a gap.
Result<Json> ParseResult(std::string_view text) { return ParsePythonJson(text, Infinity::kText); }

// A document, a list of them, or one a line.
Result<std::vector<Json>> Documents(std::string_view text) {
  std::vector<Json> documents;
  if (auto whole = ParseResult(text); whole.ok()) {
    if (!whole->is_array()) return std::vector<Json>{*std::move(whole)};
    for (Json& each : *whole) documents.push_back(std::move(each));
    return documents;
  }
  int64_t number = 0;
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto document = ParseResult(line);
    if (!document.ok()) return Annotate(fmt::format("line {}", number), document.error());
    if (documents.size() == kMostDocuments) return BadInput("more results than can be");
    documents.push_back(*std::move(document));
  }
  return documents;
}

// metadata_X.json of metrics_X.json.
fs::path MetadataOf(const fs::path& path) {
  std::string name = path.filename().string();
  if (!name.starts_with("metrics")) return {};
  name.replace(0, std::string_view("metrics").size(), "metadata");
  std::error_code code;
  return fs::exists(path.parent_path() / name, code) ? path.parent_path() / name : fs::path();
}

Result<ResultFile> ReadOne(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::string metadata;
  if (const fs::path beside = MetadataOf(path); !beside.empty()) {
    ASSIGN_OR_RETURN(metadata, ReadFile(beside));
  }
  auto results = ParseResultFile(text, metadata);
  if (!results.ok()) return Annotate(path.string(), results.error());
  return results;
}

}  // namespace

std::string_view Name(Tool tool) { return kNames[static_cast<size_t>(tool)]; }

std::vector<std::string> DefinitionsOf(Tool tool) {
  switch (tool) {
    case Tool::kVllmBench:
    case Tool::kSglangBench:
      return {
          "TTFT counts from the sending to the first chunk; TPOT is the time after it over the output tokens less 1; ITL is "
          "the "
          "gap between chunks, however many tokens each brings; E2E ends with the last chunk",
          "rates are over the time of the whole benchmark"};
    case Tool::kAiPerf:
    case Tool::kGenAiPerf:
      return {
          "what it calls inter token latency is the time after the first token over the output tokens less 1, a value a "
          "request: "
          "a TPOT here"};
    case Tool::kGuideLlm:
      return {
          "figures of successful requests; its time per output token spreads the whole latency over all output tokens, the "
          "first "
          "included; its inter token latency is the time after the first token over the output tokens less 1: a TPOT here"};
    case Tool::kLlamaBench:
      return {
          "tokens per second of text generation without a prompt, of one sequence; no request and no first token is measured"};
    case Tool::kMoeCap:
      return {
          "TPOT is the mean latency of a decode pass, TTFT the sum of a request's own prefill passes without waiting; requests "
          "per "
          "second counts failed requests as served"};
  }
  return {};
}

std::optional<double> NumberOf(const Json& object, std::initializer_list<const char*> keys) {
  if (!object.is_object()) return std::nullopt;
  for (const char* key : keys) {
    const auto found = object.find(key);
    if (found == object.end()) continue;
    double value = NAN;
    if (found->is_number()) {
      value = found->get<double>();
    } else if (found->is_string()) {
      const auto& text = found->get_ref<const std::string&>();
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size()) value = NAN;
    }
    if (std::isfinite(value)) return value;
  }
  return std::nullopt;
}

std::string TextOf(const Json& object, std::initializer_list<const char*> keys) {
  if (!object.is_object()) return "";
  for (const char* key : keys) {
    const auto found = object.find(key);
    if (found != object.end() && found->is_string()) return found->get<std::string>();
  }
  return "";
}

const Json* Inside(const Json& object, std::initializer_list<const char*> keys) {
  const Json* at = &object;
  for (const char* key : keys) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end() || found->is_null()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string IsoTime(const std::string& text) {
  std::string digits;
  for (const char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) digits += c;
  }
  if (digits.size() < 14) return "";
  return fmt::format("{}-{}-{}T{}:{}:{}Z", digits.substr(0, 4), digits.substr(4, 2), digits.substr(6, 2), digits.substr(8, 2),
                     digits.substr(10, 2), digits.substr(12, 2));
}

void SetLevel(const std::optional<double>& concurrency, const std::optional<double>& rate,
              const std::optional<double>& requests, Cell& cell) {
  const auto clients = [](const std::optional<double>& value) { return value && *value >= 1 && *value == std::floor(*value); };
  if (rate && *rate > 0) {
    cell.level = {record::LoadKind::kRate, *rate};
    if (clients(concurrency)) cell.notes.push_back(fmt::format("at most {:g} requests in flight", *concurrency));
    return;
  }
  if (clients(concurrency)) {
    cell.level = {record::LoadKind::kClients, *concurrency};
    return;
  }
  const double all = clients(requests) ? *requests : 1;
  cell.level = {record::LoadKind::kClients, all};
  if (all > 1) cell.label = fmt::format("all {:g} at once", all);
}

Result<ResultFile> ParseResultFile(std::string_view text, std::string_view metadata) {
  text = WithoutBom(text);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return BadInput("the file is empty");
  if (text[first] != '{' && text[first] != '[') {
    if (text.substr(first).starts_with("build_commit") || text.substr(first).starts_with("\"build_commit"))
      return ReadLlamaBenchCsv(text);
    return BadInput(
        "no result file that is known: JSON of vllm bench serve, SGLang bench_serving, AIPerf, GenAI-Perf, GuideLLM or "
        "MoE-CAP, JSON "
        "or CSV of llama-bench");
  }
  ASSIGN_OR_RETURN(const std::vector<Json> documents, Documents(text));
  Json beside;
  if (!metadata.empty()) {
    ASSIGN_OR_RETURN(beside, ParseResult(metadata));
  }
  for (auto&& read : {ReadServeBench(documents), ReadGuideLlm(documents), ReadLlamaBench(documents),
                      ReadMoeCap(documents, beside), ReadAiPerf(documents)}) {
    if (read) return *read;
  }
  return BadInput(
      "JSON, but not of a tool that is known: vllm bench serve, SGLang bench_serving, AIPerf, GenAI-Perf, GuideLLM, "
      "llama-bench, MoE-CAP");
}

Result<ResultFile> ReadResultFile(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return ReadOne(path);
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(path, code); !code && entry != fs::recursive_directory_iterator();
       entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("metrics") && name.ends_with(".json")) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  if (files.empty())
    return BadInput(fmt::format("{} is not a stored run, nor an output folder with metrics_*.json", path.string()));
  ResultFile all;
  for (const fs::path& file : files) {
    ASSIGN_OR_RETURN(ResultFile one, ReadOne(file));
    all.tool = one.tool;
    all.cells.insert(all.cells.end(), std::make_move_iterator(one.cells.begin()), std::make_move_iterator(one.cells.end()));
  }
  return all;
}

}  // namespace moecap::foreign
