#include "experiment/server_records.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "record/jsonl.h"

namespace moecap::experiment {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(200);
constexpr int kMostLooks = 10;

// A server writes from a thread of its own, a little behind its answers.
Result<uint64_t> SizeAtRest(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(uint64_t size, SizeOfServerRecords(file));
  for (int look = 0; look < kMostLooks; ++look) {
    std::this_thread::sleep_for(kBetweenLooks);
    ASSIGN_OR_RETURN(const uint64_t now, SizeOfServerRecords(file));
    if (std::exchange(size, now) == now) break;
  }
  return size;
}

}  // namespace

Result<uint64_t> SizeOfServerRecords(const std::filesystem::path& file) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  if (!error) return size;
  return BadInput(
      fmt::format("{}: cannot be read; \"pass_records\" names the file to which the server on this machine writes its passes "
                  "(tools/peers start transformers --record FILE), which must be there when it is measured",
                  file.string()));
}

Result<std::vector<record::PassRecord>> ReadServerRecords(const std::filesystem::path& file, uint64_t begin, ClockSpan span) {
  ASSIGN_OR_RETURN(const uint64_t end, SizeAtRest(file));
  if (end < begin) return BadInput(fmt::format("{}: became shorter during the measurement", file.string()));
  ASSIGN_OR_RETURN(const std::vector<record::PassRecord> written, record::ReadPasses(file, begin, end));
  std::vector<record::PassRecord> passes;
  for (const record::PassRecord& pass : written) {
    if (!pass.clock_monotonic_s) {
      return BadInput(
          fmt::format("{}: a pass has no \"clock_monotonic_s\", its start in seconds on CLOCK_MONOTONIC, so that "
                      "it cannot be told what was measured",
                      file.string()));
    }
    if (*pass.clock_monotonic_s < span.begin_s || *pass.clock_monotonic_s > span.end_s) continue;
    record::PassRecord& taken = passes.emplace_back(pass);
    taken.pass = std::ssize(passes) - 1;
    taken.start_s = *pass.clock_monotonic_s - span.begin_s;
    taken.clock_monotonic_s = std::nullopt;
    taken.source = taken.distinct_experts_source = record::Source::kServerReported;
  }
  return passes;
}

}  // namespace moecap::experiment
