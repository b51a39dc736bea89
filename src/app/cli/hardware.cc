// moecap hardware: what this machine is and what it can do at most.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/units.h"
#include "hardware/probe/probe.h"

namespace moecap::app {
namespace {

struct Flags {
  bool json = false;
  bool fresh = false;
};

void PrintCeiling(const char* name, const std::optional<hardware::Ceiling>& ceiling, const char* unit) {
  if (!ceiling) {
    fmt::print("  {:<16} -   (this processor has no such operation)\n", name);
    return;
  }
  fmt::print("  {:<16} {:<16} median {}, {} repetitions; {}\n", name, FormatSi(ceiling->best, unit),
             FormatSi(ceiling->median, unit), ceiling->repetitions, ceiling->kernel);
}

void Print(const hardware::HostInfo& host, const hardware::Ceilings& ceilings, bool measured_now) {
  fmt::print("{}{}\n", host.cpu_model, host.hypervisor.empty() ? "" : fmt::format(" (virtual machine: {})", host.hypervisor));
  fmt::print("  {} threads usable of {} CPUs; {} DRAM; last-level cache {}\n", host.UsableThreads(), host.logical_cpus,
             FormatBytes(host.dram_bytes), FormatBytes(host.last_level_cache_bytes));
  fmt::print("Ceilings, measured {}{}, {} threads, buffer {}\n", ceilings.measured_at, measured_now ? "" : " (cached)",
             ceilings.threads, FormatBytes(ceilings.buffer_bytes));
  PrintCeiling("memory read", ceilings.read_bytes_per_s, "B/s");
  PrintCeiling("memory copy", ceilings.copy_bytes_per_s, "B/s");
  PrintCeiling("fp32", ceilings.fp32_flops_per_s, "FLOP/s");
  PrintCeiling("bf16", ceilings.bf16_flops_per_s, "FLOP/s");
  PrintCeiling("int8", ceilings.int8_ops_per_s, "OP/s");
  for (const std::string& note : ceilings.notes) fmt::print("  note: {}\n", note);
}

Status Hardware(const Flags& flags) {
  const SteadyClock clock;
  const hardware::HostInfo host = hardware::DetectHost();
  const double max_age_s = flags.fresh ? 0 : hardware::kCeilingsMaxAgeS;
  ASSIGN_OR_RETURN(const auto cached, hardware::LoadOrMeasureCeilings(host, {}, clock, CacheDir(), max_age_s));
  if (flags.json) {
    const std::string text = DumpJsonPretty({{"host", ToJson(host)}, {"ceilings", ToJson(cached.ceilings)}});
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    Print(host, cached.ceilings, cached.measured_now);
  }
  return {};
}

}  // namespace

Action AddHardware(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  app.add_flag("--json", flags->json, "print JSON");
  app.add_flag("--fresh", flags->fresh, "measure again even if a measurement of the last week is cached");
  app.footer("Example:\n  moecap hardware --fresh");
  return [flags] { return Hardware(*flags); };
}

}  // namespace moecap::app
