#include "app/cli/metrics_tiers.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "app/cli/output.h"
#include "base/fs.h"
#include "base/table.h"
#include "base/units.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"

namespace moecap::app {
namespace {

using metrics::Tier;
using metrics::TierPhase;

constexpr double kBytesPerGib = 1024.0 * 1024 * 1024;
constexpr double kBytesPerGb = 1e9;

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

// A device has one price; memory is bought by capacity.
std::optional<cost::Input> PriceOf(const Tier& tier, const metrics::TierParts& parts, const cost::PriceBook& book) {
  if (parts.device) {
    const auto each = book.FindFor(*parts.device, "price_usd");
    if (!each) return std::nullopt;
    return cost::Scaled(*each, static_cast<double>(parts.count),
                        fmt::format("{} x {}; {}", parts.count, parts.device->id, each->source));
  }
  if (!parts.memory || !tier.capacity_bytes) return std::nullopt;
  const bool ssd = parts.memory->link_class == "ssd";
  auto each = book.Find(ssd ? "ssd_usd_per_gb" : "server_dram_usd_per_gib");
  if (!ssd && parts.memory->price_usd_per_gb)
    each = cost::Input{*parts.memory->price_usd_per_gb, parts.memory->source, parts.memory->date};
  if (!each) return std::nullopt;
  const double amount = *tier.capacity_bytes / (ssd ? kBytesPerGb : kBytesPerGib);
  return cost::Scaled(*each, amount,
                      fmt::format("{:.6g} {} at {:g}; {}", amount, ssd ? "GB" : "GiB", each->value, each->source));
}

Json ToJson(const TierPhase& phase) {
  Json tiers = Json::array();
  for (const TierPhase::One& tier : phase.tiers)
    tiers.push_back({{"bytes", Optional(tier.bytes)}, {"least_s", Optional(tier.seconds)}, {"s_mbu", Optional(tier.s_mbu)}});
  return {{"passes", phase.passes},
          {"latency_s", phase.latency_s},
          {"tiers", std::move(tiers)},
          {"overlapped_least_s", Optional(phase.overlapped_s)},
          {"serial_least_s", Optional(phase.serial_s)},
          {"s_mbu_overlapped", Optional(phase.s_mbu_overlapped)},
          {"s_mbu_serial", Optional(phase.s_mbu_serial)}};
}

std::string Percent(const std::optional<double>& share) { return share ? FormatFixed(100 * *share, 3) : "-"; }

void PrintTiers(const TierReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < report.file.system.tiers.size(); ++i) {
    const Tier& tier = report.file.system.tiers[i];
    const auto& price = report.price_usd[i];
    const auto& reads = report.figures.read_shares;
    rows.push_back({tier.name, FormatSi(tier.bandwidth_bytes_per_s, "B/s"),
                    tier.link_bytes_per_s ? FormatSi(*tier.link_bytes_per_s, "B/s") : "computed here",
                    FormatPercent(tier.routed_share, 1), reads.empty() ? "-" : FormatPercent(reads[i], 1),
                    FormatBytes(report.figures.resident_bytes[i]),
                    tier.capacity_bytes ? FormatBytes(*tier.capacity_bytes) : "-", price ? FormatFixed(price->value, 0) : "-"});
  }
  fmt::print("\n{}", RenderTable({{"", "tier", Align::kLeft, true},
                                  {"reads at", "memory"},
                                  {"reads at", "copied over"},
                                  {"experts", "held"},
                                  {"experts", "reads"},
                                  {"bytes", "resident"},
                                  {"bytes", "capacity"},
                                  {"", "USD"}},
                                 rows, TerminalTable()));
}

void PrintPhases(const TierReport& report) {
  const std::pair<const char*, const TierPhase*> phases[] = {{"prefill", &report.figures.prefill},
                                                             {"decode", &report.figures.decode},
                                                             {"mixed", &report.figures.mixed},
                                                             {"all", &report.figures.all}};
  std::vector<TableColumn> columns = {{"", "phase", Align::kLeft, true}, {"", "passes"}};
  for (const Tier& tier : report.file.system.tiers) columns.push_back({"S-MBU % of a tier", tier.name});
  columns.push_back({"S-MBU % of the system", "at once"});
  columns.push_back({"S-MBU % of the system", "in turn"});
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, phase] : phases) {
    if (phase->passes == 0) continue;
    std::vector<std::string> row = {name, std::to_string(phase->passes)};
    for (const TierPhase::One& tier : phase->tiers) row.push_back(Percent(tier.s_mbu));
    row.push_back(Percent(phase->s_mbu_overlapped));
    row.push_back(Percent(phase->s_mbu_serial));
    rows.push_back(std::move(row));
  }
  fmt::print("\n{}", RenderTable(columns, rows, TerminalTable()));
}

bool MeasuredReads(const metrics::TierSystem& system) { return system.tiers.front().read_share.has_value(); }

}  // namespace

Result<TierReport> ReportTiers(const std::string& file, const model::ModelSpec& model,
                               std::span<const record::PassRecord> passes) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const cost::PriceBook book, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  TierReport report;
  ASSIGN_OR_RETURN(report.file, metrics::ParseTiersFile(text, file, catalogue));
  for (size_t i = 0; i < report.file.parts.size(); ++i)
    report.price_usd.push_back(PriceOf(report.file.system.tiers[i], report.file.parts[i], book));
  report.figures = metrics::ComputeTiers(model, passes, report.file.system);
  return report;
}

Json ToJson(const TierReport& report) {
  Json tiers = Json::array();
  for (size_t i = 0; i < report.file.system.tiers.size(); ++i) {
    const Tier& tier = report.file.system.tiers[i];
    const auto& price = report.price_usd[i];
    const auto& reads = report.figures.read_shares;
    tiers.push_back({{"name", tier.name},
                     {"bandwidth_bytes_per_s", tier.bandwidth_bytes_per_s},
                     {"copy_bytes_per_s", Optional(tier.link_bytes_per_s)},
                     {"ceiling_bytes_per_s", tier.CeilingBytesPerS()},
                     {"capacity_bytes", Optional(tier.capacity_bytes)},
                     {"resident_bytes", report.figures.resident_bytes[i]},
                     {"routed_share", tier.routed_share},
                     {"dense_share", tier.dense_share},
                     {"kv_share", tier.kv_share},
                     {"read_share", reads.empty() ? Json(nullptr) : Json(reads[i])},
                     {"price_usd", price ? Json(price->value) : Json(nullptr)},
                     {"price_source", price ? Json(price->source) : Json(nullptr)}});
  }
  return {{"placement", metrics::Name(report.file.system.placement)},
          {"reads_are_measured", MeasuredReads(report.file.system)},
          {"tiers", std::move(tiers)},
          {"phases",
           {{"prefill", ToJson(report.figures.prefill)},
            {"decode", ToJson(report.figures.decode)},
            {"mixed", ToJson(report.figures.mixed)}}},
          {"all", ToJson(report.figures.all)},
          {"invalid", report.figures.invalid}};
}

void Print(const TierReport& report) {
  PrintTiers(report);
  fmt::print("reads: {}\n", MeasuredReads(report.file.system)
                                ? "as measured"
                                : fmt::format("estimated for {} placement", metrics::Name(report.file.system.placement)));
  PrintPhases(report);
  for (const std::string& reason : report.figures.invalid) fmt::print("invalid: {}\n", reason);
}

}  // namespace moecap::app
