// What the tests of store/ share: a folder of their own, and runs with every field set.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/testing/temp_dir.h"
#include "store/run_store.h"

namespace moecap::store {

inline RunStore OpenStore(const std::filesystem::path& dir, Access access = Access::kCreate) {
  auto store = RunStore::Open(dir, access);
  if (!store.ok()) ADD_FAILURE() << store.error().message;
  return std::move(store).value();
}

// Two systems at two levels; figures that differ from cell to cell and from run to run.
inline StoredRun SampleRun(const std::string& run_id, int seed = 0, size_t manifest_bytes = 0) {
  StoredRun run;
  run.info = {run_id,
              run_id,
              RunStatus::kComplete,
              fmt::format("2026-01-{:02}T12:00:00Z", 1 + seed % 28),
              "0.1.0",
              "128 problems of tinymath",
              "datasets/tinymath/test.jsonl",
              128,
              "AMD EPYC"};
  run.manifest_json = R"({"schema":1,"cost_inputs":{"pue":{"value":1.25,"source":"survey","date":"2026-06"}},"padding":")" +
                      std::string(manifest_bytes, 'x') + "\"}";
  run.summary_json = R"({"schema":1})";
  run.systems = {{"F16", "llama.cpp", "tiny-moe", "F16", ""}, {"Q4_0", "llama.cpp", "tiny-moe", "Q4_0", "1 x h"}};
  for (const StoredSystem& system : run.systems) {
    for (const double level : {1., 16.}) {
      StoredCell cell{system.name, "clients", level, fmt::format("{} clients", level), 2, true, {}};
      double value = seed + 0.1 * level + (system.name == "F16" ? 0.01 : 0.02);
      for (const char* key : {"accuracy", "joules_per_token", "output_tokens_per_s", "tpot_mean_s"})
        cell.figures.push_back({key, value += 1, key[0] == 'j'});
      run.cells.push_back(cell);
    }
  }
  run.cost_inputs = {{"F16", "pue", 1.25, 1.1, std::nullopt, "survey", "2026-06"}};
  run.files = {{"manifest.json", 57414, "0123456789abcdef"}, {"requests.jsonl", 10, std::nullopt}};
  return run;
}

}  // namespace moecap::store
