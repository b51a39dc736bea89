#include "report/load_csv.h"

#include <fmt/format.h>

#include <cmath>

#include "report/load_tables.h"

namespace moecap::report {
namespace {

using metrics::LoadCell;
using metrics::ServingFigures;

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string Quote(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string Number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{}", *value) : "";
}

void AddLatencies(const ServingFigures* figures, const std::string& prefix, Fields& fields) {
  for (const char* figure :
       {"ttft_s", "ttfo_s", "tpot_s", "itl_s", "icl_s", "e2e_s", "user_ttft_s", "user_e2e_s", "send_lag_s"}) {
    const auto* latency = figures == nullptr ? nullptr : FindLatency(*figures, figure);
    const std::string name = prefix + std::string(figure, std::string_view(figure).size() - 2);
    fields.emplace_back(name + "_mean_s", latency == nullptr ? "" : Number(latency->distribution.mean));
    for (const double q : {0.5, 0.9, 0.99}) {
      const auto* estimate = FindQuantile(latency, q);
      const bool known = estimate != nullptr && estimate->supported;
      fields.emplace_back(fmt::format("{}_{}_s", name, QuantileName(q)), known ? Number(estimate->value) : "");
    }
  }
}

void AddFigures(const ServingFigures* figures, const std::string& prefix, Fields& fields) {
  const auto count = [&](const char* name, int64_t ServingFigures::*field) {
    fields.emplace_back(prefix + name, figures == nullptr ? "" : std::to_string(figures->*field));
  };
  const auto number = [&](const char* name, const std::optional<double>& value) {
    fields.emplace_back(prefix + name, Number(value));
  };
  const ServingFigures none;
  const ServingFigures& f = figures == nullptr ? none : *figures;
  const auto known = [&](double value) { return figures == nullptr ? std::nullopt : std::optional(value); };
  number("from_s", known(f.window.from_s));
  number("to_s", known(f.window.to_s));
  count("offered", &ServingFigures::offered);
  count("completed", &ServingFigures::completed);
  count("failed", &ServingFigures::failed);
  count("cancelled", &ServingFigures::cancelled);
  count("input_tokens", &ServingFigures::input_tokens);
  count("output_tokens", &ServingFigures::output_tokens);
  number("offered_requests_per_s", known(f.offered_per_s));
  number("achieved_share", f.achieved_share);
  number("completed_requests_per_s", known(f.completed_per_s));
  number("output_tokens_per_s", known(f.output_tokens_per_s));
  number("goodput_requests_per_s", f.goodput_per_s);
  number("good_share", f.good_share);
  AddLatencies(figures, prefix, fields);
}

Fields FieldsOf(const metrics::LoadTestSummary& test, const LoadCell& cell) {
  Fields fields = {{"run_id", test.run_id},
                   {"started_at", test.started_at},
                   {"complete", test.complete ? "true" : "false"},
                   {"server", test.server},
                   {"url", test.url},
                   {"api", test.api},
                   {"model", test.model},
                   {"workload", test.workload},
                   {"load", test.load},
                   {"label", cell.label},
                   {"clients", cell.clients ? std::to_string(*cell.clients) : ""},
                   {"rate_per_s", Number(cell.rate_per_s)},
                   {"repeat", std::to_string(cell.repeat)},
                   {"valid", cell.IsValid() ? "true" : "false"},
                   {"ended_by", cell.ended_by}};
  AddFigures(&cell.whole, "", fields);
  AddFigures(cell.in_steady ? &*cell.in_steady : nullptr, "steady_", fields);
  fields.emplace_back("steady", cell.steady ? (cell.steady->steady ? "true" : "false") : "");
  fields.emplace_back("concurrency_peak", std::to_string(cell.concurrency.peak));
  fields.emplace_back("concurrency_mean", Number(cell.concurrency.mean));
  fields.emplace_back("retries", std::to_string(cell.retries));
  fields.emplace_back("held_back", std::to_string(cell.held_back));
  fields.emplace_back("client_cpu_s", Number(cell.client_cpu_s));
  fields.emplace_back("threads", std::to_string(cell.threads));
  return fields;
}

}  // namespace

std::string RenderLoadCsv(std::span<const metrics::LoadTestSummary> tests) {
  std::string head;
  for (const auto& [name, value] : FieldsOf({}, {})) head += (head.empty() ? "" : ",") + name;
  std::string out = head + "\n";
  for (const auto& test : tests) {
    for (const LoadCell& cell : test.cells) {
      bool first = true;
      for (const auto& [name, value] : FieldsOf(test, cell)) {
        out += (first ? "" : ",") + Quote(value);
        first = false;
      }
      out += "\n";
    }
  }
  return out;
}

}  // namespace moecap::report
