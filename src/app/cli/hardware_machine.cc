#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/cli/hardware_text.h"
#include "base/table.h"
#include "base/units.h"

namespace moecap::app {
namespace {

using hardware::Accelerator;
using hardware::Ceiling;
using hardware::Ceilings;
using hardware::Device;

constexpr const char* kNotKnown = "not in the catalogue: measure it (moecap hardware probe) or add it (docs/hardware.md)";
constexpr size_t kMachineLabels = 13;

std::string Bytes(const std::optional<double>& bytes) { return bytes ? FormatBytes(*bytes) : "-"; }
std::string OrDash(const std::string& text) { return text.empty() ? "-" : PrintableText(text); }

std::string Table(const std::vector<TableColumn>& columns, const std::vector<std::vector<std::string>>& rows, size_t width,
                  bool unicode) {
  TableOptions options;
  options.width = width;
  options.unicode = unicode;
  return RenderTable(columns, rows, options);
}

// "4.0 x16 (of 5.0 x16)".
std::string PcieText(const hardware::PcieLink& link) {
  const auto text = [](const std::optional<int>& generation, const std::optional<int>& lanes) {
    return generation && lanes ? fmt::format("{}.0 x{}", *generation, *lanes) : std::string();
  };
  const std::string now = text(link.generation, link.lanes);
  const std::string most = text(link.max_generation, link.max_lanes);
  if (now.empty()) return most.empty() ? "-" : "up to " + most;
  return most.empty() || most == now ? now : fmt::format("{} (of {})", now, most);
}

std::string MemoryText(const hardware::MemoryLayout& memory) {
  if (memory.modules.empty()) return "";
  const hardware::MemoryModule& first = memory.modules.front();
  std::string text = fmt::format("{} modules of {}{}", memory.modules.size(), FormatBytes(first.bytes),
                                 first.type.empty() ? "" : " " + first.type);
  if (first.mega_transfers_per_s) text += fmt::format("-{}", *first.mega_transfers_per_s);
  if (memory.channels) text += fmt::format(", {} channels", *memory.channels);
  if (memory.peak_bytes_per_s) text += fmt::format(", {} peak", FormatSi(*memory.peak_bytes_per_s, "B/s"));
  return fmt::format("{} (from {})", text, memory.source);
}

std::string BytesText(std::optional<double> bytes) { return bytes ? FormatBytes(*bytes) : kNotKnown; }

std::string LimitsText(const hardware::HostInfo& host) {
  std::vector<std::string> parts;
  if (!host.container.empty()) parts.push_back(fmt::format("container ({})", host.container));
  if (host.cpu_quota) parts.push_back(fmt::format("control group: {:.2f} CPUs of time", *host.cpu_quota));
  if (host.memory_limit_bytes) parts.push_back(fmt::format("control group: {} memory", FormatBytes(*host.memory_limit_bytes)));
  if (static_cast<int>(host.allowed_cpus.size()) < host.logical_cpus)
    parts.push_back(fmt::format("affinity: {} of {} CPUs", host.allowed_cpus.size(), host.logical_cpus));
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, "; "));
}

std::string AcceleratorTable(const std::vector<Accelerator>& accelerators, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> rows;
  for (const Accelerator& found : accelerators) {
    rows.push_back({OrDash(found.name.empty() ? found.vendor + " " + found.pci_id : found.name), OrDash(found.catalogue_id),
                    Bytes(found.memory_bytes), PcieText(found.pcie), found.nvlinks ? fmt::format("{}", *found.nvlinks) : "-",
                    found.power_limit_w ? FormatSignificant(*found.power_limit_w, 4) : "-"});
  }
  return Table({{"", "accelerator", Align::kLeft, true},
                {"", "catalogue", Align::kLeft},
                {"", "memory"},
                {"", "PCIe"},
                {"", "NVLinks"},
                {"", "limit W"}},
               rows, width, unicode);
}

std::string DiskTable(const std::vector<hardware::Disk>& disks, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> rows;
  for (const hardware::Disk& disk : disks) {
    rows.push_back({disk.name, OrDash(disk.model), OrDash(disk.transport), FormatBytes(disk.bytes),
                    !disk.rotational   ? "-"
                    : *disk.rotational ? "yes"
                                       : "no",
                    PcieText(disk.pcie)});
  }
  return Table({{"", "disk", Align::kLeft, true},
                {"", "model", Align::kLeft},
                {"", "transport", Align::kLeft},
                {"", "size"},
                {"", "rotating"},
                {"", "PCIe"}},
               rows, width, unicode);
}

struct Row {
  const char* name;
  const std::optional<Ceiling>& ceiling;
  const char* unit;
  std::optional<double> datasheet;
};

// One line a figure: what was measured and, where there is a datasheet, its peak and the share that was reached.
std::string FigureTable(const std::vector<Row>& figures, size_t width, bool unicode) {
  bool has_datasheet = false;
  for (const Row& figure : figures) has_datasheet |= figure.datasheet.has_value();
  std::vector<TableColumn> columns = {{"", "figure", Align::kLeft, true}, {"measured", "best"}, {"measured", "median"}};
  if (has_datasheet) columns.insert(columns.end(), {{"datasheet", "peak"}, {"datasheet", "reached"}});
  columns.push_back({"", "kernel", Align::kLeft});
  std::vector<std::vector<std::string>> rows;
  for (const Row& figure : figures) {
    const auto& ceiling = figure.ceiling;
    std::vector<std::string> row = {figure.name, ceiling ? FormatSi(ceiling->best, figure.unit) : "-",
                                    ceiling ? FormatSi(ceiling->median, figure.unit) : "-"};
    if (has_datasheet) {
      row.push_back(figure.datasheet ? FormatSi(*figure.datasheet, figure.unit) : "-");
      row.push_back(figure.datasheet && ceiling ? FormatPercent(ceiling->best / *figure.datasheet, 0) : "-");
    }
    row.push_back(ceiling ? ceiling->kernel : "-");
    rows.push_back(std::move(row));
  }
  return Table(columns, rows, width, unicode);
}

std::string ThreadTable(const std::vector<hardware::ThreadBandwidth>& points, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& point : points) {
    rows.push_back({fmt::format("{}", point.threads), FormatSi(point.read_bytes_per_s.best, "B/s"),
                    FormatSi(point.copy_bytes_per_s.best, "B/s")});
  }
  return Table({{"", "threads", Align::kRight, true}, {"", "memory read"}, {"", "memory copy"}}, rows, width, unicode);
}

std::string CacheTable(const std::vector<hardware::CacheBandwidth>& caches, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& cache : caches) {
    rows.push_back(
        {fmt::format("L{}", cache.level), FormatBytes(cache.cache_bytes), FormatSi(cache.read_bytes_per_s.best, "B/s")});
  }
  return Table({{"", "cache", Align::kLeft, true}, {"", "size"}, {"", "read"}}, rows, width, unicode);
}

std::string DiskText(const hardware::DiskCeilings& disk, size_t width, bool unicode) {
  std::string out =
      fmt::format("Disk {}{}, file of {}, measured {}\n", disk.disk.empty() ? "(not told)" : disk.disk,
                  disk.model.empty() ? "" : " " + PrintableText(disk.model), FormatBytes(disk.file_bytes), disk.measured_at);
  const bool measured = disk.sequential_read_bytes_per_s || disk.sequential_write_bytes_per_s ||
                        disk.random_1mib_read_bytes_per_s || disk.random_4kib_read_bytes_per_s;
  if (measured) {
    out += FigureTable({{"read in order", disk.sequential_read_bytes_per_s, "B/s", {}},
                        {"random 1 MiB", disk.random_1mib_read_bytes_per_s, "B/s", {}},
                        {"random 4 KiB", disk.random_4kib_read_bytes_per_s, "B/s", {}},
                        {"write in order", disk.sequential_write_bytes_per_s, "B/s", {}}},
                       width, unicode);
  }
  for (const std::string& note : disk.notes) AppendLabelled(out, kMachineLabels, "note", note, width);
  return out;
}

std::string GpuText(const hardware::Catalogue& catalogue, const hardware::GpuCeilings& gpu, size_t width, bool unicode) {
  const auto device = catalogue.MatchAccelerator(gpu.name, gpu.memory_bytes);
  std::optional<double> link;
  if (device && !device->host_link.empty()) link = catalogue.FindLink(device->host_link)->bytes_per_s;
  const std::optional<double> bandwidth = device ? device->bandwidth_bytes_per_s : std::nullopt;
  std::string out = fmt::format("GPU {} at {} ({}), measured {}\n", OrDash(gpu.name), OrDash(gpu.pci_address),
                                device ? device->id : "not in the catalogue", gpu.measured_at);
  out += FigureTable({{"memory read", gpu.read_bytes_per_s, "B/s", bandwidth},
                      {"memory copy", gpu.copy_bytes_per_s, "B/s", bandwidth},
                      {"host to GPU", gpu.host_to_device_bytes_per_s, "B/s", link},
                      {"GPU to host", gpu.device_to_host_bytes_per_s, "B/s", link}},
                     width, unicode);
  const auto watts = [](const std::optional<double>& value) { return value ? FormatSignificant(*value, 3) + " W" : "-"; };
  AppendLabelled(out, kMachineLabels, "power",
                 fmt::format("{} idle, {} while reading its memory", watts(gpu.idle_w), watts(gpu.busy_w)), width);
  for (const std::string& note : gpu.notes) AppendLabelled(out, kMachineLabels, "note", note, width);
  return out;
}

}  // namespace

std::string MachineText(const hardware::MachineInfo& machine, size_t width, bool unicode) {
  const hardware::HostInfo& host = machine.host;
  std::string out;
  const auto line = [&](const char* label, const std::string& text) {
    AppendLabelled(out, kMachineLabels, label, text, width);
  };
  line("processor", fmt::format("{}{}", host.cpu_model.empty() ? "(model not told)" : host.cpu_model,
                                host.hypervisor.empty() ? "" : fmt::format(" (virtual machine: {})", host.hypervisor)));
  line("", machine.processor_catalogue_id.empty() ? kNotKnown : "catalogue: " + machine.processor_catalogue_id);
  line("threads", fmt::format("{} usable of {} CPUs, {} cores, {} sockets, {} memory nodes", host.UsableThreads(),
                              host.logical_cpus, host.physical_cores, host.sockets, host.numa_nodes));
  line("instructions", fmt::format("{}", fmt::join(host.isa, " ")));
  line("cache",
       host.last_level_cache_bytes ? fmt::format("{} last level", FormatBytes(*host.last_level_cache_bytes)) : kNotKnown);
  line("memory", fmt::format("{}, {} available", BytesText(host.dram_bytes), BytesText(host.available_bytes)));
  if (const std::string modules = MemoryText(machine.memory); !modules.empty()) line("", modules);
  line("limits", LimitsText(host));
  line("kernel", host.kernel);
  for (const hardware::NetworkPort& port : machine.network_ports) {
    line("network", fmt::format("{} ({}), {}", port.name, port.kind,
                                port.bytes_per_s ? FormatSi(*port.bytes_per_s, "B/s") : "speed not told"));
  }
  out += "\n";
  out += machine.accelerators.empty() ? "  no accelerators\n" : AcceleratorTable(machine.accelerators, width, unicode);
  bool all_known = true;
  for (const Accelerator& found : machine.accelerators) all_known &= !found.catalogue_id.empty();
  if (!all_known) line("-", kNotKnown);
  out += "\n";
  if (!machine.disks.empty()) out += DiskTable(machine.disks, width, unicode);
  for (const std::string& note : machine.notes) line("note", note);
  return out;
}

std::string CeilingsText(const hardware::Catalogue& catalogue, const hardware::HostInfo& host, const Ceilings& ceilings,
                         bool measured_now, size_t width, bool unicode) {
  const auto device = catalogue.MatchProcessor(host.cpu_model);
  const auto peak = [&](const char* dtype) { return device ? hardware::DensePeak(*device, dtype) : std::nullopt; };
  const std::optional<double> bandwidth = device ? device->bandwidth_bytes_per_s : std::nullopt;
  std::string out = fmt::format("{}{}\n", PrintableText(host.cpu_model),
                                host.hypervisor.empty() ? "" : fmt::format(" (virtual machine: {})", host.hypervisor));
  AppendLabelled(out, kMachineLabels, "threads",
                 fmt::format("{} usable of {} CPUs; {} DRAM; last-level cache {}", host.UsableThreads(), host.logical_cpus,
                             BytesText(host.dram_bytes), BytesText(host.last_level_cache_bytes)),
                 width);
  AppendLabelled(out, kMachineLabels, "datasheet", device ? fmt::format("{}, one whole socket", device->id) : kNotKnown, width);
  out += fmt::format("Ceilings, measured {}{}, {} threads, buffer {}\n", ceilings.measured_at, measured_now ? "" : " (cached)",
                     ceilings.threads, FormatBytes(ceilings.buffer_bytes));
  out += FigureTable({{"memory read", ceilings.read_bytes_per_s, "B/s", bandwidth},
                      {"memory copy", ceilings.copy_bytes_per_s, "B/s", bandwidth},
                      {"fp32", ceilings.fp32_flops_per_s, "FLOP/s", peak("fp32")},
                      {"bf16", ceilings.bf16_flops_per_s, "FLOP/s", peak("bf16")},
                      {"int8", ceilings.int8_ops_per_s, "OP/s", peak("int8")}},
                     width, unicode);
  for (const std::string& note : ceilings.notes) AppendLabelled(out, kMachineLabels, "note", note, width);
  if (!ceilings.by_threads.empty()) out += "\n" + ThreadTable(ceilings.by_threads, width, unicode);
  if (!ceilings.caches.empty()) out += "\n" + CacheTable(ceilings.caches, width, unicode);
  if (ceilings.disk) out += "\n" + DiskText(*ceilings.disk, width, unicode);
  for (const hardware::GpuCeilings& gpu : ceilings.gpus) out += "\n" + GpuText(catalogue, gpu, width, unicode);
  return out;
}

Json DatasheetJson(const hardware::Catalogue& catalogue, const hardware::HostInfo& host, const Ceilings& ceilings) {
  const auto or_null = [](const std::optional<Device>& device) { return device ? ToJson(*device) : Json(nullptr); };
  Json gpus = Json::array();
  for (const hardware::GpuCeilings& gpu : ceilings.gpus)
    gpus.push_back(or_null(catalogue.MatchAccelerator(gpu.name, gpu.memory_bytes)));
  return {{"processor", or_null(catalogue.MatchProcessor(host.cpu_model))}, {"gpus", std::move(gpus)}};
}

}  // namespace moecap::app
