#include "app/cli/trace_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/table.h"
#include "base/units.h"
#include "report/plots.h"

namespace moecap::app {
namespace {

using trace::TraceSummary;

std::string Number(const std::optional<double>& value, int decimals) { return value ? FormatFixed(*value, decimals) : "-"; }
std::string Count(const std::optional<int64_t>& value) { return value ? std::to_string(*value) : "-"; }

std::string Table(const std::vector<TableColumn>& columns, const std::vector<std::vector<std::string>>& rows, size_t width,
                  bool unicode) {
  TableOptions options;
  options.width = width;
  options.unicode = unicode;
  return RenderTable(columns, rows, options);
}

TableColumn Key(const char* header) { return {"", header, Align::kRight, true}; }
TableColumn Column(const char* header, const char* group = "") { return {group, header, Align::kRight, false}; }

std::string Wrapped(const std::string& text, size_t width) {
  std::string out;
  for (const std::string& line : WrapText(PrintableText(text), width - 2)) out += (out.empty() ? "- " : "  ") + line + "\n";
  return out;
}

std::string Head(const TraceSummary& summary) {
  const trace::TraceHeader& header = summary.header;
  const int64_t unknown = summary.passes - summary.prefill_passes - summary.decode_passes - summary.mixed_passes;
  std::string kinds;
  const auto add = [&kinds](int64_t count, const char* name) {
    if (count > 0) kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, name);
  };
  add(summary.prefill_passes, "prefill");
  add(summary.decode_passes, "decode");
  add(summary.mixed_passes, "mixed");
  add(unknown, header.passes_known ? "of unknown kind" : "runs of tokens");
  return fmt::format("{}{}{} layers x {} experts{}\n{} passes ({}), {} tokens\n",
                     header.model.empty() ? "" : PrintableText(header.model) + ", ",
                     header.origin.empty() ? "" : "recorded by " + PrintableText(header.origin) + ", ", header.layers(),
                     header.experts, header.top_k > 0 ? fmt::format(", top-{}", header.top_k) : "", summary.passes, kinds,
                     Count(summary.tokens));
}

std::string ShareText(const trace::TraceShare& share, size_t width) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += text.empty() ? part : "; " + part; };
  if (!share.cell.empty()) add(PrintableText(share.cell));
  if (!share.ranks.empty()) {
    add(fmt::format("rank{} {}{}", share.ranks.size() == 1 ? "" : "s",
                    share.ranks.size() > 8 ? fmt::format("{} to {}", share.ranks.front(), share.ranks.back())
                                           : fmt::format("{}", fmt::join(share.ranks, ", ")),
                    share.world ? fmt::format(" of {}", *share.world) : ""));
  }
  if (share.devices) add(fmt::format("{} devices", *share.devices));
  if (share.physical_experts > 0) add(fmt::format("{} places for experts", share.physical_experts));
  if (share.whole) add(*share.whole ? "the whole" : "a PART of the whole: tokens and batches are not known");
  if (text.empty()) return "";
  std::string out;
  for (const std::string& line : WrapText("holds: " + text, width)) out += line + "\n";
  return out;
}

// Loads of prefill and decode side by side, and of places and experts.
std::string LoadTable(const TraceSummary& summary, size_t width, bool unicode) {
  const bool phases = !summary.prefill.empty() && !summary.decode.empty();
  const bool places = !summary.physical.empty();
  if (!phases && !places) return "";
  std::vector<TableColumn> columns = {Key("layer")};
  for (const char* group : {"prefill", "decode"}) {
    if (phases) columns.insert(columns.end(), {Column("used", group), Column("CV", group), Column("max/mean", group)});
  }
  if (phases) columns.push_back(Column("TV", "between"));
  if (places) columns.insert(columns.end(), {Column("experts", "max/mean"), Column("places", "max/mean")});
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < summary.layers.size(); ++i) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(std::to_string(summary.header.layer_numbers[i]));
    for (const auto* phase : {&summary.prefill, &summary.decode}) {
      if (!phases) break;
      const routing::LayerLoad& load = phase->layers[i];
      row.insert(row.end(), {std::to_string(load.distinct), FormatFixed(load.cv, 2), FormatFixed(load.max_over_mean, 2)});
    }
    if (phases) row.push_back(FormatFixed(summary.PhaseDistance(i), 3));
    if (places) {
      row.push_back(FormatFixed(summary.layers[i].load.max_over_mean, 2));
      row.push_back(FormatFixed(routing::SummarizeLayer(summary.physical.counts[i]).max_over_mean, 2));
    }
  }
  return std::string("\nLoad ") + (phases ? "by phase" : "of places and experts") + "\n" + Table(columns, rows, width, unicode);
}

std::string LayerTable(const TraceSummary& summary, size_t width, bool unicode) {
  const std::vector<TableColumn> columns = {Key("layer"),
                                            Column("tokens"),
                                            Column("used", "experts"),
                                            Column("entropy", "load"),
                                            Column("CV", "load"),
                                            Column("max/mean", "load"),
                                            Column("overlap", "in sequence"),
                                            Column("if indep.", "in sequence"),
                                            Column("exponent", "in sequence"),
                                            Column("TV", "halves"),
                                            Column("by chance", "halves"),
                                            Column("verdict", "halves")};
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < summary.layers.size(); ++i) {
    const routing::LayerProfile& layer = summary.layers[i];
    const bool neighbours = layer.overlap.has_value();
    rows.push_back({std::to_string(summary.header.layer_numbers[i]), Count(layer.tokens), std::to_string(layer.load.distinct),
                    FormatFixed(layer.load.normalized_entropy, 3), FormatFixed(layer.load.cv, 2),
                    FormatFixed(layer.load.max_over_mean, 2), Number(layer.overlap, 2),
                    neighbours ? FormatFixed(layer.independent_overlap, 2) : "-", Number(layer.in_sequence_exponent, 2),
                    layer.halves ? FormatFixed(layer.halves->total_variation, 3) : "-",
                    layer.halves ? FormatFixed(layer.halves->expected_total_variation, 3) : "-",
                    layer.halves ? std::string(routing::Name(layer.halves->verdict)) : "-"});
  }
  return Table(columns, rows, width, unicode);
}

std::string CoverageText(const TraceSummary& summary, size_t width, bool unicode) {
  const auto coverage = trace::MeanCoverage(summary);
  if (coverage.empty()) return "";
  const std::vector<TableColumn> columns = {Key("tokens"),
                                            Column("passes", "measured"),
                                            Column("consecutive", "measured"),
                                            Column("resampled", "measured"),
                                            Column("uniform", "estimated"),
                                            Column("Beta-bin.", "estimated"),
                                            Column("popularity", "estimated")};
  std::vector<std::vector<std::string>> rows;
  for (const routing::CoverageRow& row : coverage) {
    rows.push_back({std::to_string(row.tokens), Number(row.decode_passes, 1), Number(row.blocks, 1), Number(row.resampled, 1),
                    FormatFixed(row.uniform, 1), FormatFixed(row.beta_binomial, 1), FormatFixed(row.popularity, 1)});
  }
  return "\nDistinct experts per layer against tokens, mean over layers\n" + Table(columns, rows, width, unicode);
}

std::string PairText(const TraceSummary& summary, size_t width) {
  struct Entry {
    int layer;
    routing::ExpertPair pair;
  };
  std::vector<Entry> entries;
  for (size_t i = 0; i < summary.layers.size(); ++i) {
    for (const routing::ExpertPair& pair : summary.layers[i].pairs) entries.push_back({summary.header.layer_numbers[i], pair});
  }
  if (entries.empty()) return "";
  std::ranges::stable_sort(entries, [](const Entry& a, const Entry& b) { return a.pair.share > b.pair.share; });
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(5, entries.size()); ++i) {
    const Entry& entry = entries[i];
    text +=
        fmt::format("{}layer {}: {} + {} in {} of the tokens ({} times chance)", i == 0 ? "" : "; ", entry.layer,
                    entry.pair.first, entry.pair.second, FormatPercent(entry.pair.share, 1), FormatFixed(entry.pair.lift, 1));
  }
  std::string out = "\nExperts used together most\n";
  for (const std::string& line : WrapText(text, width)) out += line + "\n";
  return out;
}

std::string CacheText(const TraceSummary& summary, std::span<const double> expert_bytes, size_t width, bool unicode) {
  if (!summary.no_cache_reason.empty()) return "\nNo cache what-if: " + summary.no_cache_reason + "\n";
  if (summary.caches.empty()) return "";
  const trace::CacheTotals totals = trace::TotalCaches(summary.caches, expert_bytes);
  std::vector<TableColumn> columns = {Key("experts/layer")};
  for (const auto policy : routing::kCachePolicies)
    columns.push_back({"hit rate", std::string(routing::Name(policy)), Align::kRight, false});
  if (!expert_bytes.empty()) {
    for (const auto policy : routing::kCachePolicies)
      columns.push_back({"over the link", std::string(routing::Name(policy)), Align::kRight, false});
  }
  std::set<size_t> capacities;
  const auto experts = static_cast<size_t>(summary.header.experts);
  for (size_t eighth = 0; eighth <= 8; ++eighth) capacities.insert(experts * eighth / 8);
  std::vector<std::vector<std::string>> rows;
  for (const size_t capacity : capacities) {
    std::vector<std::string> row = {std::to_string(capacity)};
    for (const auto& rates : totals.hit_rate) row.push_back(FormatPercent(rates[capacity], 1));
    for (const auto& bytes : totals.link_bytes) {
      if (!bytes.empty()) row.push_back(FormatBytes(bytes[capacity]));
    }
    rows.push_back(std::move(row));
  }
  return fmt::format("\nA cache of experts in every layer, {} uses{}\n", totals.accesses,
                     summary.cache_cut ? " (the trace's beginning)" : "") +
         Table(columns, rows, width, unicode);
}

}  // namespace

std::string RenderTrace(const TraceSummary& summary, std::span<const double> expert_bytes, size_t width, bool unicode) {
  std::string text = Head(summary) + ShareText(summary.header.share, width) + "\n" + LayerTable(summary, width, unicode) +
                     LoadTable(summary, width, unicode) + CoverageText(summary, width, unicode) + PairText(summary, width) +
                     CacheText(summary, expert_bytes, width, unicode);
  if (!summary.header.notes.empty() || !summary.warnings.empty()) text += "\n";
  for (const std::string& note : summary.header.notes) text += Wrapped(note, width);
  for (const std::string& warning : summary.warnings) text += Wrapped(warning, width);
  return unicode ? text : AsciiText(text);
}

std::string RenderCells(std::span<const LabelledTrace> traces, size_t width, bool unicode) {
  std::vector<std::vector<std::string>> rows;
  for (const LabelledTrace& trace : traces) {
    const TraceSummary& summary = trace.summary;
    double used = 0, cv = 0;
    for (const routing::LayerProfile& layer : summary.layers) {
      used += layer.load.distinct;
      cv += layer.load.cv;
    }
    const auto layers = static_cast<double>(summary.layers.size());
    rows.push_back({PrintableText(trace.label), std::to_string(summary.prefill_passes), std::to_string(summary.decode_passes),
                    std::to_string(summary.mixed_passes), Count(summary.tokens), FormatFixed(used / layers, 1),
                    FormatFixed(cv / layers, 2)});
  }
  std::string text = Table({{"", "cell", Align::kLeft, true},
                            Column("prefill", "passes"),
                            Column("decode", "passes"),
                            Column("mixed", "passes"),
                            Column("tokens"),
                            Column("used", "experts, mean"),
                            Column("CV", "experts, mean")},
                           rows, width, unicode);
  text += Wrapped(
      "cells asked the same problems, so they are not added up; --cell shows one with everything that is known of it", width);
  return unicode ? text : AsciiText(text);
}

std::string RenderUpstream(const trace::UpstreamReport& report, size_t width, bool unicode) {
  std::string text = fmt::format("{} records of MoE-CAP's recorder for {}{}\n", report.records, trace::Name(report.flavour),
                                 report.devices ? fmt::format(", {} x {}", *report.devices, PrintableText(report.device)) : "");
  std::vector<std::vector<std::string>> rows;
  const auto add = [&rows](const char* name, const trace::UpstreamPhase& phase) {
    if (phase.passes == 0) return;
    rows.push_back({name, std::to_string(phase.passes), std::to_string(phase.new_tokens), FormatSeconds(phase.latency_s),
                    Number(phase.mean_distinct_experts, 2)});
  };
  add("prefill", report.prefill);
  add("decode", report.decode);
  add("mixed", report.mixed_steps);
  text +=
      Table({{"", "phase", Align::kLeft, true}, Column("passes"), Column("tokens"), Column("time"), Column("experts/layer")},
            rows, width, unicode);
  text += "\nNames of experts are not recorded: popularity, overlap, caches and a sheet need another recorder.\n";
  for (const std::string& note : report.notes) text += Wrapped(note, width);
  return unicode ? text : AsciiText(text);
}

std::string DrawPopularity(const TraceSummary& summary) {
  report::HeatMap map;
  map.frame = {"experts", "How often each expert is used", "share of the assignments of its layer, against an even spread",
               fmt::format("{} layers by {} experts", summary.header.layers(), summary.header.experts)};
  map.row_label = "layer";
  map.column_label = "expert";
  for (const routing::LayerProfile& layer : summary.layers) {
    std::vector<double>& row = map.ratios.emplace_back(layer.load.popularity);
    for (double& share : row) share *= summary.header.experts;
  }
  return report::DrawHeatMap(map, report::SvgMode::kStandalone);
}

std::string DrawCoverage(const TraceSummary& summary) {
  report::LinePlot plot;
  plot.frame = {"coverage", "Distinct experts against tokens", "experts per layer, mean over layers",
                "measured in the trace, and as estimated from its popularity"};
  plot.x_label = "tokens in the pass";
  plot.references.push_back({static_cast<double>(summary.header.experts), "all experts"});
  size_t index = 0;
  const auto coverage = trace::MeanCoverage(summary);
  const auto add = [&](const char* name, bool dashed, auto value_of) {
    report::PlotSeries series;
    series.system = index++;
    series.name = name;
    series.dashed = dashed;
    for (const routing::CoverageRow& row : coverage) {
      const std::optional<double> value = value_of(row);
      if (value) series.points.push_back({static_cast<double>(row.tokens), *value});
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  };
  using Row = routing::CoverageRow;
  add("passes", false, [](const Row& row) { return row.decode_passes; });
  add("consecutive", false, [](const Row& row) { return row.blocks; });
  add("resampled", false, [](const Row& row) { return row.resampled; });
  add("uniform", true, [](const Row& row) { return std::optional(row.uniform); });
  add("Beta-binomial", true, [](const Row& row) { return std::optional(row.beta_binomial); });
  add("popularity", true, [](const Row& row) { return std::optional(row.popularity); });
  return coverage.empty() ? "" : report::DrawLines(plot, report::SvgMode::kStandalone);
}

}  // namespace moecap::app
