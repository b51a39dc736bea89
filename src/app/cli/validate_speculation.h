// moecap validate MODEL --drafts: what speculative decoding gains, measured, and predicted from plain decoding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace moecap::app {

struct DraftFlags {
  std::vector<int> lengths;  // empty = the flag was not given
  std::vector<int> clients = {1};
  std::filesystem::path problems;  // JSON lines with "question"; empty = random tokens
  int requests = 16;
  int prompt_tokens = 64;  // of random prompts
  int output_tokens = 96;
  int continued_tokens = 0;  // of the model's own answers, before what is measured
  double limit_s = 1800;
  bool cpu_time = false;  // of one engine thread instead of the time of day, where other programs use the processor
};

void AddDraftFlags(CLI::App& app, DraftFlags& flags);

// What the other flags of validate say of such a run.
struct DraftRun {
  std::filesystem::path file;
  int threads = 0;  // 0 = those usable
  int repeats = 5;
  uint64_t seed = 1;  // of random prompts
  bool gpu = false;
  int cpu_experts = 0;
  bool json = false;
};

// Prints a line a length. Errors: kBadInput, the engine's, kInterrupted.
Status ValidateSpeculation(const DraftFlags& flags, const DraftRun& run, const std::function<bool()>& stop);

}  // namespace moecap::app
