#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/cli/hardware_text.h"
#include "base/table.h"
#include "base/units.h"

namespace moecap::app {
namespace {

using hardware::Device;
using hardware::Link;

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr const char* kDtypes[] = {"fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8"};
constexpr size_t kCatalogueLabels = 14;

// Without zeros that only fill up the digits: 80, 1.19, 3350.
std::string Plain(double value, int digits) {
  std::string text = FormatSignificant(value, digits);
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string Number(const std::optional<double>& value, double unit, int digits = 3) {
  return value ? Plain(*value / unit, digits) : "-";
}

// What a device costs or draws for a quantity it offers.
std::optional<double> Per(const std::optional<double>& amount, const std::optional<double>& quantity, double unit) {
  if (!amount || !quantity || *quantity <= 0) return std::nullopt;
  return *amount / (*quantity / unit);
}

// FLOPs that a device does in the time it reads a byte: below it the memory limits, above it the arithmetic.
std::optional<double> Ridge(const Device& device, const char* dtype) {
  const auto peak = hardware::DensePeak(device, dtype);
  if (!peak || !device.bandwidth_bytes_per_s || *device.bandwidth_bytes_per_s <= 0) return std::nullopt;
  return *peak / *device.bandwidth_bytes_per_s;
}

// "label        text", the text wrapped below itself.
std::string PriceText(const hardware::PriceRange& price, const char* unit) {
  if (!price.low && !price.typical && !price.high) return "-";
  std::vector<std::string> parts;
  if (price.typical) parts.push_back(fmt::format("{} {} typical", Plain(*price.typical, 4), unit));
  if (price.low) parts.push_back(fmt::format("{} low", Plain(*price.low, 4)));
  if (price.high) parts.push_back(fmt::format("{} high", Plain(*price.high, 4)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string LinkText(const hardware::Catalogue& catalogue, const std::string& id) {
  if (id.empty()) return "-";
  const auto link = catalogue.FindLink(id);
  return link ? fmt::format("{}: {}, {} in one direction", id, link->name, FormatSi(link->bytes_per_s, "B/s")) : id;
}

const char* ConfidenceText(hardware::Confidence confidence) {
  switch (confidence) {
    case hardware::Confidence::kHigh:
      return "high: the vendor, or two sources that agree";
    case hardware::Confidence::kMedium:
      return "medium: partly computed, or a vendor's figure not looked up again";
    case hardware::Confidence::kLow:
      break;
  }
  return "low: one source, or sources that contradict each other";
}

std::string PeaksText(const Device& device, bool ridges) {
  std::vector<std::string> parts;
  for (const char* dtype : kDtypes) {
    const auto value = ridges ? Ridge(device, dtype) : hardware::DensePeak(device, dtype);
    if (value) parts.push_back(fmt::format("{} {}", dtype, Plain(*value / (ridges ? 1 : kTera), 4)));
  }
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string ListText(const std::vector<std::string>& texts) {
  return texts.empty() ? "-" : fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

std::string DeviceTable(std::span<const Device> devices, size_t width, bool unicode) {
  const std::vector<TableColumn> columns = {
      {"", "id", Align::kLeft, true}, {"", "class", Align::kLeft}, {"", "GiB"}, {"", "GB/s"},
      {"TFLOP/s, dense", "bf16"},     {"TFLOP/s, dense", "fp8"},   {"", "W"},   {"", "USD"}};
  std::vector<std::vector<std::string>> rows;
  for (const Device& device : devices) {
    const auto wide = device.peaks.bf16 ? device.peaks.bf16 : device.peaks.fp16;
    rows.push_back({device.id, device.device_class, Number(device.memory_bytes, kGib),
                    Number(device.bandwidth_bytes_per_s, kGiga, 4), Number(wide, kTera), Number(device.peaks.fp8, kTera),
                    Number(device.tdp_w, 1, 4), Number(device.price_usd.typical, 1, 5)});
  }
  TableOptions options;
  options.width = width;
  options.unicode = unicode;
  return RenderTable(columns, rows, options);
}

std::string LinkTable(std::span<const Link> links, size_t width, bool unicode) {
  const std::vector<TableColumn> columns = {{"", "id", Align::kLeft, true},
                                            {"", "class", Align::kLeft},
                                            {"", "GB/s"},
                                            {"", "both ways"},
                                            {"", "latency us"},
                                            {"", "kIOPS"},
                                            {"", "USD/GB"},
                                            {"", "year"}};
  std::vector<std::vector<std::string>> rows;
  for (const Link& link : links) {
    rows.push_back({link.id, link.link_class, Number(link.bytes_per_s, kGiga), Number(link.both_directions_bytes_per_s, kGiga),
                    Number(link.latency_s, 1e-6), Number(link.random_reads_per_s, 1e3), Number(link.price_usd_per_gb, 1),
                    link.year > 0 ? fmt::format("{}", link.year) : "-"});
  }
  TableOptions options;
  options.width = width;
  options.unicode = unicode;
  return RenderTable(columns, rows, options);
}

std::string DeviceSheet(const hardware::Catalogue& catalogue, const Device& device, size_t width) {
  const auto bandwidth = device.bandwidth_bytes_per_s;
  std::string out = fmt::format("{}: {} {} ({}{})\n", device.id, device.vendor, device.name, device.device_class,
                                device.year > 0 ? fmt::format(", {}", device.year) : "");
  const auto line = [&](const char* label, const std::string& text) {
    AppendLabelled(out, kCatalogueLabels, label, text, width);
  };
  line("memory", fmt::format("{} GiB {}{}, {} GB/s", Number(device.memory_bytes, kGib, 4), device.memory_type,
                             device.unified_memory ? ", shared with the host" : "", Number(bandwidth, kGiga, 5)));
  if (device.cores) {
    line("cores", fmt::format("{}, {} memory channels", *device.cores,
                              device.memory_channels ? fmt::format("{}", *device.memory_channels) : "-"));
  }
  line("dense peaks", PeaksText(device, false) + " TFLOP/s (int8: TOP/s)");
  line("ridge point", PeaksText(device, true) + " FLOP per byte");
  line("power", fmt::format("{} W; {} W per TB/s", Number(device.tdp_w, 1, 4), Number(Per(device.tdp_w, bandwidth, kTera), 1)));
  line("price", PriceText(device.price_usd, "USD"));
  line("", fmt::format("{} USD per GB of memory; {} USD per TB/s",
                       Number(Per(device.price_usd.typical, device.memory_bytes, kGiga), 1),
                       Number(Per(device.price_usd.typical, bandwidth, kTera), 1, 4)));
  line("rent", PriceText(device.rent_usd_per_h, "USD/h"));
  line("host link", LinkText(catalogue, device.host_link));
  line("scale-up link", LinkText(catalogue, device.scale_up_link) +
                            (device.scale_up_devices ? fmt::format("; {} devices at most", *device.scale_up_devices) : ""));
  line("other names", ListText(device.aliases));
  line("PCI numbers", ListText(device.pci_ids));
  line("confidence", ConfidenceText(device.confidence));
  line("date", device.date);
  line("source", device.source);
  return out;
}

std::string LinkSheet(const Link& link, size_t width) {
  std::string out = fmt::format("{}: {} ({}{})\n", link.id, link.name, link.link_class,
                                link.generation.empty() ? "" : fmt::format(", generation {}", link.generation));
  const auto line = [&](const char* label, const std::string& text) {
    AppendLabelled(out, kCatalogueLabels, label, text, width);
  };
  line("bandwidth", fmt::format("{} GB/s in one direction, {} in both", Number(link.bytes_per_s, kGiga, 4),
                                Number(link.both_directions_bytes_per_s, kGiga, 4)));
  line("lanes", link.lanes ? fmt::format("{}", *link.lanes) : "-");
  line("latency", Number(link.latency_s, 1e-6) + " us");
  line("random reads", Number(link.random_reads_per_s, 1e3) + " thousand of 4 KiB a second");
  line("price", Number(link.price_usd_per_gb, 1) + " USD per GB");
  line("year", link.year > 0 ? fmt::format("{}", link.year) : "-");
  if (!link.note.empty()) line("note", link.note);
  line("date", link.date);
  line("source", link.source);
  return out;
}

Json DeviceSheetJson(const Device& device) {
  const auto or_null = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  Json json = ToJson(device);
  Json ridges = Json::object();
  for (const char* dtype : kDtypes) ridges[dtype] = or_null(Ridge(device, dtype));
  json["ridge_flop_per_byte"] = std::move(ridges);
  json["power_w_per_tb_per_s"] = or_null(Per(device.tdp_w, device.bandwidth_bytes_per_s, kTera));
  json["price_usd_per_gb"] = or_null(Per(device.price_usd.typical, device.memory_bytes, kGiga));
  json["price_usd_per_tb_per_s"] = or_null(Per(device.price_usd.typical, device.bandwidth_bytes_per_s, kTera));
  return json;
}

}  // namespace moecap::app
