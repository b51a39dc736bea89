#include "report/html.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/units.h"
#include "report/charts.h"
#include "report/figures.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/words.h"

namespace moecap::report {
namespace {

// Heat maps of very large models are the only part that can grow without bound.
constexpr size_t kHeatMapBudget = 1'400'000;  // bytes

// The part of a finding before its first colon in bold.
std::string Finding(const std::string& text) {
  const size_t colon = text.find(": ");
  if (colon == std::string::npos) return EscapeXml(text);
  return "<b>" + EscapeXml(text.substr(0, colon)) + "</b> " + EscapeXml(text.substr(colon + 2));
}

std::string Header(const RunSummary& summary) {
  const Verdict verdict = MakeVerdict(summary);
  std::string out = "<header>\n";
  out += fmt::format("<p class=\"kicker\">moecap: cost, accuracy and performance of serving. Run <code>{}</code></p>\n",
                     EscapeXml(summary.run_id));
  if (!summary.complete) out += "<p class=\"alarm\" role=\"alert\">" + EscapeXml(IncompleteWarning()) + "</p>\n";
  out += "<h1>" + EscapeXml(verdict.headline) + "</h1>\n<ul class=\"findings\">\n";
  for (const auto& finding : verdict.findings) out += "<li>" + Finding(finding) + "</li>\n";
  out += "</ul>\n<dl class=\"meta\">\n";
  for (const auto& [label, text] : DescribeRun(summary)) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapeXml(label), EscapeXml(text));
  }
  return out + "</dl>\n</header>\n";
}

constexpr std::string_view kSystemColumns[] = {"system",     "description", "weights",           "size",
                                               "parameters", "active",      "experts per token", "compute ceiling"};

std::string SystemsTable(const RunSummary& summary) {
  std::string out = "<div class=\"scroll\"><table>\n<caption>Systems</caption>\n<thead><tr>";
  for (const std::string_view name : kSystemColumns) {
    const char* css = name == "system" ? " class=\"sys left\"" : name == "description" ? " class=\"w\"" : "";
    out += fmt::format("<th scope=\"col\"{}>{}</th>", css, name);
  }
  out += "</tr></thead>\n<tbody>\n";
  size_t index = 0;
  for (const auto& row : DescribeSystems(summary)) {
    out += fmt::format("<tr><th scope=\"row\" class=\"sys\">{} {}</th>", MarkerIcon(index++), EscapeXml(row.name));
    AppendCell(out, kSystemColumns[1], row.description, "w");
    size_t column = 2;
    for (const auto* value : {&row.weights, &row.size, &row.parameters, &row.active, &row.experts, &row.ceiling})
      AppendCell(out, kSystemColumns[column++], *value);
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table></div>\n";
}

// Two header rows: groups of adjacent columns over their columns.
std::string TableHead(const FigureTable& table) {
  std::string top =
      "<tr><th scope=\"col\" rowspan=\"2\" class=\"sys left\">system</th><th scope=\"col\" "
      "rowspan=\"2\">concurrency</th>";
  std::string bottom = "<tr>";
  for (size_t begin = 0; begin < table.columns.size();) {
    size_t end = begin + 1;
    while (end < table.columns.size() && !table.columns[begin].group.empty() &&
           table.columns[end].group == table.columns[begin].group)
      ++end;
    const std::string group = EscapeXml(table.columns[begin].group);
    if (end - begin > 1) {
      top += fmt::format("<th scope=\"colgroup\" colspan=\"{}\" class=\"group\"><span>{}</span></th>", end - begin, group);
    } else {
      top += "<th scope=\"col\">" + group + "</th>";
    }
    for (size_t i = begin; i < end; ++i) bottom += "<th scope=\"col\">" + EscapeXml(table.columns[i].header) + "</th>";
    begin = end;
  }
  return "<thead>\n" + top + "</tr>\n" + bottom + "</tr>\n</thead>\n";
}

// Group and header of each column, escaped: "TTFT (ms) p50".
std::vector<std::string> ColumnLabels(const FigureTable& table) {
  std::vector<std::string> labels;
  for (const FigureColumn& column : table.columns)
    labels.push_back(EscapeXml(column.group.empty() ? column.header : column.group + " " + column.header));
  return labels;
}

std::string TableRow(const RunSummary& summary, const FigureTable& table, const std::vector<std::string>& labels,
                     const FigureRow& row) {
  const auto& system = summary.systems[row.system];
  std::string out = fmt::format("<tr class=\"{}{}\">", row.first_of_system ? "first" : "", row.valid ? "" : " bad");
  if (row.first_of_system) {
    out += fmt::format("<th scope=\"rowgroup\" rowspan=\"{}\" class=\"sys\">{} {}</th>",
                       std::ranges::count(table.rows, row.system, &FigureRow::system), MarkerIcon(row.system),
                       EscapeXml(system.name));
  }
  if (row.valid) {
    out += fmt::format("<td class=\"conc\">{}</td>", row.concurrency);
  } else {
    const auto* cell = FindCell(system, row.concurrency);
    const std::string why = cell != nullptr ? fmt::format("{}", fmt::join(InvalidReasons(*cell), "; ")) : "";
    out += fmt::format("<td class=\"conc\" title=\"{}\">{}!</td>", EscapeXml(why), row.concurrency);
  }
  for (size_t i = 0; i < row.values.size(); ++i) AppendCell(out, labels[i], row.values[i]);
  return out + "</tr>\n";
}

std::string ResultsSection(const RunSummary& summary) {
  std::string out = "<h2 id=\"results\">Results</h2>\n" + SystemsTable(summary);
  const auto tables = BuildTables(summary);
  for (const auto& table : tables) {
    out +=
        "<div class=\"scroll\"><table>\n<caption>" + EscapeXml(table.title) + "</caption>\n" + TableHead(table) + "<tbody>\n";
    const std::vector<std::string> labels = ColumnLabels(table);
    for (const auto& row : table.rows) out += TableRow(summary, table, labels, row);
    out += "</tbody>\n</table></div>\n";
  }
  std::vector<std::string> notes = LegendNotes(summary, tables);
  for (auto& note : ConventionNotes()) notes.push_back(std::move(note));
  return out + HtmlItems("notes", notes);
}

std::string CurveSection(const RunSummary& summary) {
  const auto charts = CurveCharts(summary, SvgMode::kFragment);
  if (charts.empty()) return "";
  return "<h2 id=\"curves\">Effect of the batch size</h2>\n"
         "<p class=\"lead\">More concurrent requests make larger batches: a pass touches more of the experts, and each expert "
         "serves more tokens. "
         "Points marked ! did not pass a validity gate.</p>\n" +
         HtmlFigures("grid2", charts);
}

std::string ExpertSection(const RunSummary& summary) {
  const auto charts = ExpertCharts(summary, SvgMode::kFragment);
  if (charts.empty()) return "";
  std::string out =
      "<h2 id=\"experts\">Expert routing</h2>\n<p class=\"lead\">Share of the routed tokens of each expert, relative to an "
      "even split over the "
      "experts of its layer. Uneven rows mean that a few experts carry the load.</p>\n";
  size_t used = 0;
  bool first = true;
  std::vector<std::string> left_out;
  for (const auto& chart : charts) {
    const auto& system = summary.systems[chart.system];
    if (used + chart.svg.size() > kHeatMapBudget) {
      left_out.push_back(system.name);
      continue;
    }
    used += chart.svg.size();
    out += fmt::format("<details{}><summary>{}</summary>\n<figure><div class=\"scroll\"><div class=\"heat\">\n",
                       first ? " open=\"open\"" : "", EscapeXml(system.name));
    out += chart.svg + "</div></div>\n<figcaption>" + EscapeXml(chart.reading) + "</figcaption>\n";
    out += HtmlFigureTable(chart) + "</figure></details>\n";
    first = false;
  }
  if (!left_out.empty()) {
    out += fmt::format("<p class=\"lead\">Not drawn, to keep the page small: {}. The shares are in the JSON of the run.</p>\n",
                       EscapeXml(JoinWords(left_out)));
  }
  return out;
}

std::string MethodSection(const RunSummary& summary) {
  const std::string contract =
      summary.scoring_contract.empty() ? "" : fmt::format(" Scored as <code>{}</code>.", EscapeXml(summary.scoring_contract));
  return "<h2 id=\"method\">Method</h2>\n"
         "<p class=\"formula\">S-MBU = (Σ bytes ∕ Σ latency) ∕ (devices × peak bandwidth)<br/>"
         "S-MFU = (Σ FLOPs ∕ Σ latency) ∕ (devices × peak FLOP/s)</p>\n<dl>\n"
         "<dt>S-MBU, S-MFU</dt><dd>Sparsity-aware bandwidth and FLOPs utilisation. Sums run over all forward passes of a "
         "phase; bytes count the weights "
         "of the experts that a pass activated, everything else once, and the KV cache; FLOPs count the top-k experts of each "
         "token.</dd>\n"
         "<dt>complete</dt><dd>The convention of the columns S-MBU and S-MFU: also counts the output head, norms and router, "
         "which memory moves too.</dd>\n"
         "<dt>paper</dt><dd>Exactly the terms of Eq. 4 and 5 of MoE-CAP (arXiv 2412.07067), for comparison with published "
         "figures.</dd>\n"
         "<dt>MBU, MFU</dt><dd>The vanilla metrics, which take every expert as used: the distance to S-MBU and S-MFU is their "
         "error.</dd>\n"
         "<dt>TTFT, TPOT, ITL</dt><dd>Time to first token; time after the first token by tokens after it, per request; gaps "
         "between successive "
         "tokens. Percentiles are exact, over all requests of all repetitions.</dd>\n"
         "<dt>routing</dt><dd>Latency is never measured while routing is recorded: the experts come from an instrumented "
         "replay of the same batches.</dd>\n"
         "<dt>accuracy</dt><dd>Share of correct answers ± one standard error over the problems." +
         contract +
         "</dd>\n<dt>cost</dt><dd>The bill of the measured time, amortised hardware and energy, divided between input and "
         "output tokens by the "
         "time that prefill and decode took. Inputs are listed above.</dd>\n"
         "<dt>energy</dt><dd>J per output token lays all energy on the output tokens.</dd>\n"
         "<dt>estimates</dt><dd>Figures marked with ~ rest on an estimate: energy that was not metered.</dd>\n</dl>\n";
}

std::string HardwareSection(const RunSummary& summary) {
  const auto& host = summary.host;
  std::string out = "<h2 id=\"hardware\">Hardware</h2>\n<dl>\n";
  const auto row = [&out](const char* label, const std::string& text) {
    if (!text.empty()) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", label, EscapeXml(text));
  };
  row("device", host.device_id);
  row("processor", host.cpu_model + (host.cores > 0 ? fmt::format(", {} cores", host.cores) : ""));
  row("memory", host.dram_bytes > 0 ? FormatBytes(host.dram_bytes) : "");
  row("peak bandwidth", host.peak_bandwidth_bytes_per_s ? FormatSi(*host.peak_bandwidth_bytes_per_s, "B/s") : "not known");
  row("peak compute", host.peak_flops_per_s ? FormatSi(*host.peak_flops_per_s, "FLOP/s") : "not known");
  row("compute kernel", host.flops_kernel);
  row("source of peaks", host.peaks_source);
  row("power", host.power_w ? FormatSignificant(*host.power_w, 3) + " W" : "not known");
  row("source of power", host.power_source);
  return out + "</dl>\n";
}

std::string ValiditySection(const RunSummary& summary) {
  std::string out = "<h2 id=\"validity\">Validity</h2>\n";
  if (!summary.complete) out += "<p class=\"alarm\">" + EscapeXml(IncompleteWarning()) + "</p>\n";
  const auto invalid = InvalidNotes(summary);
  if (invalid.empty()) {
    out += "<p>Every measurement passed its validity gates.</p>\n";
  } else {
    out += "<p>These measurements tripped a gate. They are shown, but must not be used:</p>\n" +
           HtmlItems("notes failed", invalid);
  }
  int64_t failed = 0;
  int64_t requests = 0;
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) {
      failed += cell.failed;
      requests += cell.requests;
    }
  }
  out += fmt::format("<p>{} of {} requests failed.</p>\n", failed, requests);
  const auto missing = MissingNotes(summary);
  return missing.empty() ? out : out + "<h3>Not measured</h3>\n" + HtmlItems("notes", missing);
}

}  // namespace

std::string RenderHtml(const RunSummary& original) {
  const RunSummary summary = Printable(original);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n";
  out += fmt::format("<meta name=\"generator\" content=\"moecap {}\"/>\n<title>moecap: {}</title>\n<style>",
                     EscapeXml(summary.moecap_version), EscapeXml(summary.run_id));
  out += ChartStyle();
  out += PageStyle();
  out += "</style>\n</head>\n<body>\n" + Header(summary) + "<main>\n";
  out += HtmlCapSection(summary) + HtmlTradeOffSection(summary) + ResultsSection(summary);
  out += CurveSection(summary) + ExpertSection(summary) + HtmlDecisionSection(summary) + HtmlCostSection(summary);
  out += MethodSection(summary) + HardwareSection(summary) + ValiditySection(summary);
  out += fmt::format("</main>\n<footer>moecap {}, run {}, {}</footer>\n</body>\n</html>\n", EscapeXml(summary.moecap_version),
                     EscapeXml(summary.run_id), EscapeXml(summary.started_at));
  return out;
}

}  // namespace moecap::report
