// moecap hardware: the device catalogue, what this machine is, and what it can do at most.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/cli.h"
#include "app/cli/hardware_text.h"
#include "app/cli/output.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "hardware/probe/probe.h"

namespace moecap::app {
namespace {

struct HardwareFlags {
  bool json = false;
  bool fresh = false;
  std::string catalogue;  // a file; empty = the default one
  // list
  std::string kind = "devices", device_class, vendor, sort;
  // show, search
  std::string id;
  std::vector<std::string> words;
  // probe
  std::string ssd;
  bool no_ssd = false, no_gpu = false;
  std::vector<int> threads;
};

using hardware::Device;
using hardware::Link;

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

template <typename T>
Json ListJson(const std::vector<T>& entries) {
  Json list = Json::array();
  for (const T& entry : entries) list.push_back(ToJson(entry));
  return list;
}

struct SortField {
  const char* name;
  std::optional<double> (*value)(const Device&);
};

constexpr SortField kSortFields[] = {
    {"year", [](const Device& d) { return d.year > 0 ? std::optional<double>(d.year) : std::nullopt; }},
    {"memory", [](const Device& d) { return d.memory_bytes; }},
    {"bandwidth", [](const Device& d) { return d.bandwidth_bytes_per_s; }},
    {"bf16", [](const Device& d) { return d.peaks.bf16 ? d.peaks.bf16 : d.peaks.fp16; }},
    {"fp8", [](const Device& d) { return d.peaks.fp8; }},
    {"power", [](const Device& d) { return d.tdp_w; }},
    {"price", [](const Device& d) { return d.price_usd.typical; }},
};

// Largest first, what is not known last; ids alphabetically; equal ones stay in catalogue order.
Status Sort(const std::string& field, std::vector<Device>& devices) {
  if (field.empty()) return {};
  if (field == "id") {
    std::sort(devices.begin(), devices.end(), [](const Device& a, const Device& b) { return a.id < b.id; });
    return {};
  }
  for (const SortField& known : kSortFields) {
    if (known.name != field) continue;
    std::stable_sort(devices.begin(), devices.end(), [&](const Device& a, const Device& b) {
      return known.value(a).value_or(-1) > known.value(b).value_or(-1);
    });
    return {};
  }
  return BadInput(fmt::format("--sort {}: known are id, year, memory, bandwidth, bf16, fp8, power and price", field));
}

bool SameLetters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// A filter that nothing passes is more likely a slip than a question.
template <typename T, typename Get>
Status Keep(const char* flag, const std::string& wanted, const Get& get, std::vector<T>& entries) {
  if (wanted.empty()) return {};
  std::vector<std::string> known;
  for (const T& entry : entries) {
    if (std::find(known.begin(), known.end(), get(entry)) == known.end()) known.push_back(get(entry));
  }
  std::erase_if(entries, [&](const T& entry) { return !SameLetters(get(entry), wanted); });
  if (!entries.empty()) return {};
  return BadInput(fmt::format("{} {}: known are {}", flag, wanted, fmt::join(known, ", ")));
}

Status ListLinks(const HardwareFlags& flags, const hardware::Catalogue& catalogue) {
  if (!flags.vendor.empty() || !flags.sort.empty()) return BadInput("--vendor and --sort are for devices; links have neither");
  std::vector<Link> links = catalogue.links();
  RETURN_IF_ERROR(Keep(
      "--class", flags.device_class, [](const Link& link) { return link.link_class; }, links));
  Print(flags.json ? DumpJsonPretty({{"links", ListJson(links)}}) : LinkTable(links, TerminalWidth(), WantsUnicode()));
  return {};
}

Status List(const HardwareFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  if (flags.kind == "links") return ListLinks(flags, catalogue);
  std::vector<Device> devices = catalogue.devices();
  RETURN_IF_ERROR(Keep(
      "--vendor", flags.vendor, [](const Device& device) { return device.vendor; }, devices));
  RETURN_IF_ERROR(Keep(
      "--class", flags.device_class, [](const Device& device) { return device.device_class; }, devices));
  RETURN_IF_ERROR(Sort(flags.sort, devices));
  Print(flags.json ? DumpJsonPretty({{"devices", ListJson(devices)}}) : DeviceTable(devices, TerminalWidth(), WantsUnicode()));
  return {};
}

Status Show(const HardwareFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  const auto device = catalogue.FindDevice(flags.id);
  if (device) {
    Print(flags.json ? DumpJsonPretty(DeviceSheetJson(*device)) : DeviceSheet(catalogue, *device, TerminalWidth()));
    return {};
  }
  const auto link = catalogue.FindLink(flags.id);
  if (!link) return device.error();
  Print(flags.json ? DumpJsonPretty(ToJson(*link)) : LinkSheet(*link, TerminalWidth()));
  return {};
}

Status Search(const HardwareFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  const std::string words = fmt::format("{}", fmt::join(flags.words, " "));
  const std::vector<Device> found = catalogue.Search(words);
  if (found.empty()) return catalogue.FindDevice(words).ok() ? Status() : catalogue.FindDevice(words).error();
  Print(flags.json ? DumpJsonPretty({{"devices", ListJson(found)}}) : DeviceTable(found, TerminalWidth(), WantsUnicode()));
  return {};
}

Status Detect(const HardwareFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  hardware::MachineInfo machine = hardware::DetectMachine();
  hardware::MatchCatalogue(catalogue, machine);
  Print(flags.json ? DumpJsonPretty(ToJson(machine)) : MachineText(machine, TerminalWidth(), WantsUnicode()));
  return {};
}

void PrintCeilings(const HardwareFlags& flags, const hardware::Catalogue& catalogue, const hardware::HostInfo& host,
                   const hardware::CachedCeilings& measured) {
  if (flags.json) {
    Print(DumpJsonPretty({{"host", ToJson(host)},
                          {"ceilings", ToJson(measured.ceilings)},
                          {"datasheet", DatasheetJson(catalogue, host, measured.ceilings)}}));
    return;
  }
  Print(CeilingsText(catalogue, host, measured.ceilings, measured.measured_now, TerminalWidth(), WantsUnicode()));
}

Status Probe(const HardwareFlags& flags) {
  if (flags.no_ssd && !flags.ssd.empty()) return BadInput("--ssd and --no-ssd contradict each other");
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  const hardware::HostInfo host = hardware::DetectHost();
  hardware::ProbeOptions options;
  options.thread_counts = flags.threads;
  std::sort(options.thread_counts.begin(), options.thread_counts.end());
  if (!flags.threads.empty() && (options.thread_counts.front() < 1 || options.thread_counts.back() > host.UsableThreads())) {
    return BadInput(fmt::format("--threads: this machine has 1 to {} usable threads", host.UsableThreads()));
  }
  options.measure_disk = !flags.no_ssd;
  options.disk_folder = flags.ssd;
  options.measure_gpus = !flags.no_gpu;
  options.on_step = [](std::string_view what) { fmt::print(stderr, "measuring: {}\n", what); };
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const auto probed,
                   hardware::LoadOrProbe(host, options, clock, CacheDir(), flags.fresh ? 0 : hardware::kCeilingsMaxAgeS));
  PrintCeilings(flags, catalogue, host, probed);
  return {};
}

Status ThisMachine(const HardwareFlags& flags) {
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  const hardware::HostInfo host = hardware::DetectHost();
  const double max_age_s = flags.fresh ? 0 : hardware::kCeilingsMaxAgeS;
  ASSIGN_OR_RETURN(const auto cached, hardware::LoadOrMeasureCeilings(host, {}, clock, CacheDir(), max_age_s));
  PrintCeilings(flags, catalogue, host, cached);
  return {};
}

void AddCommonFlags(CLI::App& app, HardwareFlags& flags) {
  app.add_flag("--json", flags.json, "print JSON");
  app.add_option("--catalogue", flags.catalogue,
                 "your own entries, laid over the built-in ones (default: $XDG_CONFIG_HOME/moecap/hardware.json)");
}

void AddListFlags(CLI::App& app, HardwareFlags& flags) {
  app.add_option("--kind", flags.kind, "devices or links (host, scale-up, scale-out, memory channels, SSDs)")
      ->check(CLI::IsMember({"devices", "links"}));
  app.add_option("--class", flags.device_class,
                 "only this class: datacenter, workstation, consumer, unified, edge, phone, cpu");
  app.add_option("--vendor", flags.vendor, "only this vendor");
  app.add_option("--sort", flags.sort, "id, year, memory, bandwidth, bf16, fp8, power or price; largest first");
}

void AddProbeFlags(CLI::App& app, HardwareFlags& flags) {
  app.add_flag("--fresh", flags.fresh, "measure again even if a measurement of the last week is cached");
  app.add_option("--ssd", flags.ssd, "a folder on the disk to be measured (default: the cache folder)");
  app.add_flag("--no-ssd", flags.no_ssd, "leave the disk alone");
  app.add_flag("--no-gpu", flags.no_gpu, "leave the GPUs alone");
  app.add_option("--threads", flags.threads, "thread counts of the bandwidth curve, as 1,2,4 (default: powers of two)")
      ->delimiter(',');
}

}  // namespace

Action AddHardware(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<HardwareFlags>();
  AddCommonFlags(app, *flags);
  app.add_flag("--fresh", flags->fresh, "measure again even if a measurement of the last week is cached");
  using Run = Status (*)(const HardwareFlags&);
  std::vector<std::pair<CLI::App*, Run>> verbs;
  const auto add = [&](const char* name, const char* description, Run run) {
    CLI::App* verb = app.add_subcommand(name, description);
    AddCommonFlags(*verb, *flags);
    verbs.emplace_back(verb, run);
    return verb;
  };
  AddListFlags(*add("list", "devices or links of the catalogue", List), *flags);
  add("show", "everything the catalogue knows of one device or link", Show)
      ->add_option("id", flags->id, "id, name, alias or PCI number")
      ->required();
  add("search", "devices whose names hold all the words", Search)
      ->add_option("words", flags->words, "parts of names")
      ->required();
  add("detect", "what this machine is built of: accelerators, memory, disks, links, limits", Detect);
  AddProbeFlags(*add("probe", "measure this machine: memory by threads, caches, arithmetic, a disk, NVIDIA GPUs", Probe),
                *flags);
  app.require_subcommand(0, 1);
  app.footer(
      "Without a sub-verb: this machine and its ceilings, measured or cached.\n\nExamples:\n  moecap hardware --fresh\n"
      "  moecap hardware list --class datacenter --sort bandwidth\n  moecap hardware show h100-sxm\n  moecap hardware probe "
      "--ssd .");
  return [flags, verbs] {
    for (const auto& [verb, run] : verbs) {
      if (verb->parsed()) return run(*flags);
    }
    return ThisMachine(*flags);
  };
}

}  // namespace moecap::app
