// Result files of other benchmark clients, as cells of figures. Every figure is what that tool measured by its own definition;
// what it does not tell is null. docs/formats/other_tools.md names the writers that the formats were taken from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cap/figures.h"
#include "record/level.h"

namespace moecap::foreign {

enum class Tool { kVllmBench, kSglangBench, kAiPerf, kGenAiPerf, kGuideLlm, kLlamaBench, kMoeCap };
// "vllm bench serve", "SGLang bench_serving", "AIPerf", "GenAI-Perf", "GuideLLM", "llama-bench", "MoE-CAP".
std::string_view Name(Tool tool);
// How the tool defines its latencies and rates, where that is not ours; one sentence each.
std::vector<std::string> DefinitionsOf(Tool tool);

// One system at one level, once.
struct Cell {
  std::string model, engine, machine;  // empty = not told
  std::string variant;                 // what sets it apart from the file's other systems: "tp 8", "depth 4096"
  std::string weight_type;             // "fp8", "Q4_K"; empty = not told
  record::Level level;
  std::string label;       // of the level; empty = as record::Label says
  std::string started_at;  // UTC, ISO 8601; empty = not told
  cap::FigureValues figures;
  std::vector<std::string> notes;
};

struct ResultFile {
  Tool tool = Tool::kVllmBench;
  std::string version;  // of the tool; empty = not told
  std::vector<Cell> cells;
};

// Of a file, or of an output folder of MoE-CAP or TEASBench (metrics*.json with metadata*.json beside). Error kBadInput: none
// of these formats, with what is known; a value of another kind, with its key.
Result<ResultFile> ReadResultFile(const std::filesystem::path& path);

// From the text of a file; `metadata`: of the file beside it that MoE-CAP's outputs have, may be empty.
Result<ResultFile> ParseResultFile(std::string_view text, std::string_view metadata = {});

}  // namespace moecap::foreign
