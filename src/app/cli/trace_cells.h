// The cells of a stored run, or of a passes.jsonl, as recordings of their own: one system at one level once. They are never
// poured together.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"

namespace moecap::app {

struct TraceCell {
  std::string system, level;  // "F16", "8 clients"; both empty in a file of foreign origin
  int repeat = 0;
  std::filesystem::path file;            // passes.jsonl
  std::optional<record::CellId> record;  // in a file that holds several cells

  std::string Label() const;  // "F16@8 clients#0"
};

// Of the folder of a stored run, or of a file whose passes name their cells; empty for anything else. `with_experts`: of a
// stored run only those that hold the experts of their passes. Errors name the file.
Result<std::vector<TraceCell>> TraceCells(const std::filesystem::path& path, bool with_experts = true);

// Those that `text` names: SYSTEM, SYSTEM@LEVEL or SYSTEM@LEVEL#REPETITION, LEVEL as "8 clients" or "8". Error kBadInput
// listing the cells.
Result<std::vector<TraceCell>> ChooseCells(std::vector<TraceCell> cells, const std::string& text);

}  // namespace moecap::app
