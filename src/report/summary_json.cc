#include "report/summary_json.h"

#include <fmt/format.h>

#include <concepts>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace moecap::report {
namespace {

// One list of fields a struct serves both directions: `archive(key, field)` writes a const field or reads into a mutable one.
template <typename T, typename Struct>
concept Of = std::same_as<std::remove_const_t<T>, Struct>;

void Fields(auto& archive, Of<stats::Distribution> auto& value) {
  archive("count", value.count);
  archive("mean", value.mean);
  archive("stddev", value.stddev);
  archive("min", value.min);
  archive("p50", value.p50);
  archive("p90", value.p90);
  archive("p99", value.p99);
  archive("max", value.max);
}

void Fields(auto& archive, Of<stats::Spread> auto& value) {
  archive("repeats", value.repeats);
  archive("mean", value.mean);
  archive("min", value.min);
  archive("max", value.max);
  archive("stderr_of_mean", value.stderr_of_mean);
}

void Fields(auto& archive, Of<metrics::PhaseUtilization> auto& value) {
  archive("passes", value.passes);
  archive("latency_s", value.latency_s);
  archive("tokens", value.tokens);
  archive("bytes", value.bytes);
  archive("kv_bytes", value.kv_bytes);
  archive("flops", value.flops);
  archive("s_mbu", value.s_mbu);
  archive("s_mfu", value.s_mfu);
  archive("s_mbu_paper", value.s_mbu_paper);
  archive("s_mfu_paper", value.s_mfu_paper);
  archive("mbu", value.mbu);
  archive("mfu", value.mfu);
  archive("mean_distinct_experts", value.mean_distinct_experts);
}

void Fields(auto& archive, Of<metrics::Utilization> auto& value) {
  archive("prefill", value.prefill);
  archive("decode", value.decode);
  archive("mixed", value.mixed);
  archive("all", value.all);
  archive("invalid", value.invalid);
}

void Fields(auto& archive, Of<cap::CellSummary> auto& value) {
  archive("concurrency", value.concurrency);
  archive("repeats", value.repeats);
  archive("requests", value.requests);
  archive("failed", value.failed);
  archive("ttft_s", value.ttft_s);
  archive("tpot_s", value.tpot_s);
  archive("itl_s", value.itl_s);
  archive("e2e_s", value.e2e_s);
  archive("input_tokens", value.input_tokens);
  archive("output_tokens", value.output_tokens);
  archive("output_tokens_per_s", value.output_tokens_per_s);
  archive("requests_per_s", value.requests_per_s);
  archive("utilization", value.utilization);
  archive("kv_mean_bytes", value.kv_bytes_mean);
  archive("kv_max_bytes", value.kv_bytes_max);
  archive("accuracy", value.accuracy);
  archive("accuracy_stderr", value.accuracy_stderr);
  archive("answered", value.answered);
  archive("scored", value.scored);
  archive("usd_per_million_input_tokens", value.usd_per_million_input_tokens);
  archive("usd_per_million_output_tokens", value.usd_per_million_output_tokens);
  archive("usd_per_million_output_tokens_all_in", value.usd_per_million_output_tokens_all_in);
  archive("usd_per_million_tokens_all_in", value.usd_per_million_tokens_all_in);
  archive("usd_per_request", value.usd_per_request);
  archive("energy_wh", value.energy_wh);
  archive("joules_per_output_token", value.joules_per_output_token);
  archive("joules_per_token", value.joules_per_token);
  archive("joules_per_request", value.joules_per_request);
  archive("energy_is_measured", value.energy_is_measured);
  archive("chip_joules_per_output_token", value.chip_joules_per_output_token);
  archive("kg_co2_per_million_tokens", value.kg_co2_per_million_tokens);
  archive("invalid", value.invalid);
  archive("goodput_requests_per_s", value.goodput_requests_per_s);
}

void Fields(auto& archive, Of<cap::SystemSummary> auto& value) {
  archive("name", value.name);
  archive("description", value.description);
  archive("model_id", value.model_id);
  archive("weight_type", value.weight_type);
  archive("total_params", value.total_params);
  archive("active_params", value.active_params);
  archive("weight_bytes", value.weight_bytes);
  archive("moe_layers", value.moe_layers);
  archive("experts", value.experts);
  archive("top_k", value.top_k);
  archive("peak_flops_per_s", value.peak_flops_per_s);
  archive("peak_flops_kernel", value.peak_flops_kernel);
  archive("cells", value.cells);
  archive("expert_share", value.expert_share);
}

void Fields(auto& archive, Of<cost::Range> auto& value) {
  archive("low", value.low);
  archive("typical", value.typical);
  archive("high", value.high);
}

void Fields(auto& archive, Of<cap::HostSummary> auto& value) {
  archive("cpu_model", value.cpu_model);
  archive("cores", value.cores);
  archive("dram_bytes", value.dram_bytes);
  archive("device_id", value.device_id);
  archive("peak_bandwidth_bytes_per_s", value.peak_bandwidth_bytes_per_s);
  archive("peak_flops_per_s", value.peak_flops_per_s);
  archive("peaks_source", value.peaks_source);
  archive("flops_kernel", value.flops_kernel);
  archive("power_w", value.power_w);
  archive("power_source", value.power_source);
  archive("purchase_usd", value.purchase_usd);
  archive("cost_inputs", value.cost_inputs);
  archive("pay", value.pay);
  archive("own_usd_per_useful_h", value.own_usd_per_useful_h);
  archive("rent_usd_per_useful_h", value.rent_usd_per_useful_h);
  archive("break_even_utilisation", value.break_even_utilisation);
}

void Fields(auto& archive, Of<cap::ClassShare> auto& value) {
  archive("class", value.cap_class);
  archive("share", value.share);
}

void Fields(auto& archive, Of<cap::AxisLimit> auto& value) {
  archive("axis", value.axis);
  archive("value", value.value);
  archive("source", value.source);
}

void Fields(auto& archive, Of<cap::AxisScores> auto& value) {
  archive("axis", value.axis);
  archive("limit", value.limit);
  archive("values", value.values);
  archive("robust_scores", value.robust_score);
}

void Fields(auto& archive, Of<cap::ServiceLevel> auto& value) {
  archive("ttft_s", value.ttft_s);
  archive("tpot_s", value.tpot_s);
  archive("e2e_s", value.e2e_s);
}

void Fields(auto& archive, Of<cap::CapScores> auto& value) {
  archive("system", value.system);
  archive("cost_score", value.cost);
  archive("accuracy_score", value.accuracy);
  archive("performance_score", value.performance);
  archive("class", value.cap_class);
  archive("reason", value.reason);
  archive("class_support", value.class_support);
  archive("class_alternatives", value.class_alternatives);
  archive("dominated_by", value.dominated_by);
}

void Fields(auto& archive, Of<cap::AccuracyDifference> auto& value) {
  archive("first", value.first);
  archive("second", value.second);
  archive("difference", value.difference);
  archive("difference_stderr", value.std_error);
  archive("p_value", value.p_value);
}

void Fields(auto& archive, Of<cap::RunSummary> auto& value) {
  archive("run_id", value.run_id);
  archive("started_at", value.started_at);
  archive("moecap_version", value.moecap_version);
  archive("engine", value.engine);
  archive("dataset", value.dataset);
  archive("problems", value.problems);
  archive("scoring_contract", value.scoring_contract);
  archive("complete", value.complete);
  archive("notes", value.notes);
  archive("host", value.host);
  archive("systems", value.systems);
  archive("cap_concurrency", value.cap_concurrency);
  archive("cap", value.cap);
  archive("accuracy_differences", value.accuracy_differences);
  archive("cap_scenario", value.cap_scenario);
  archive("cap_cost_axis", value.cap_cost_axis);
  archive("cap_performance_axis", value.cap_performance_axis);
  archive("cap_axes", value.cap_axes);
  archive("cap_resamples", value.cap_resamples);
  archive("service_level", value.service_level);
}

constexpr cap::CapClass kClasses[] = {cap::CapClass::kPerformanceAccuracy, cap::CapClass::kPerformanceCost,
                                      cap::CapClass::kCostAccuracy,        cap::CapClass::kBalanced,
                                      cap::CapClass::kDominated,           cap::CapClass::kUnknown};

template <typename T>
concept Scalar = std::is_arithmetic_v<T> || std::same_as<T, std::string>;

template <Scalar T>
Json ToJson(const T& value) {
  return value;
}
Json ToJson(const cap::CapClass& value) { return cap::CapClassName(value); }
Json ToJson(const cap::AxisId& value) { return cap::AxisOf(value).key; }
Json ToJson(const cap::SystemSummary& value);
template <typename T>
Json ToJson(const std::optional<T>& value);
template <typename T>
Json ToJson(const std::vector<T>& values);
template <typename T>
Json ToJson(const T& value);

struct Writer {
  Json json = Json::object();
  void operator()(const char* key, const auto& field) { json[key] = ToJson(field); }
};

template <typename T>
Json ToJson(const std::optional<T>& value) {
  return value ? ToJson(*value) : Json(nullptr);
}

template <typename T>
Json ToJson(const std::vector<T>& values) {
  Json json = Json::array();
  for (const auto& value : values) json.push_back(ToJson(value));
  return json;
}

template <typename T>
Json ToJson(const T& value) {
  Writer writer;
  Fields(writer, value);
  return std::move(writer.json);
}

// A server does not tell what it runs: that is not known, and not 0.
Json ToJson(const cap::SystemSummary& value) {
  Writer writer;
  Fields(writer, value);
  if (value.total_params == 0) {
    for (const char* key : {"total_params", "active_params", "weight_bytes", "moe_layers", "experts", "top_k"})
      writer.json[key] = nullptr;
  }
  return std::move(writer.json);
}

// Reads one object; the first error of the whole document is kept in `error`.
struct Reader {
  const Json& json;
  std::string path;  // of this object: "systems[0].cells[1]"
  std::optional<Error>& error;

  void Fail(const std::string& where, const std::string& expected, const Json& found) {
    if (!error) error = BadInput(fmt::format("{}: expected {}, found {}", where, expected, found.type_name()));
  }

  template <typename T>
  void operator()(const char* key, T& field) {
    if (error) return;
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) return;
    Read(*found, path.empty() ? key : path + "." + key, field);
  }

  void Read(const Json& value, const std::string& where, std::string& field) {
    if (!value.is_string()) return Fail(where, "a string", value);
    field = value.get<std::string>();
  }

  void Read(const Json& value, const std::string& where, bool& field) {
    if (!value.is_boolean()) return Fail(where, "true or false", value);
    field = value.get<bool>();
  }

  void Read(const Json& value, const std::string& where, double& field) {
    if (!value.is_number()) return Fail(where, "a number", value);
    field = value.get<double>();
  }

  template <std::integral T>
  void Read(const Json& value, const std::string& where, T& field) {
    if (!value.is_number_integer()) return Fail(where, "an integer", value);
    const bool fits =
        value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>()) : std::in_range<T>(value.get<int64_t>());
    if (!fits) return Fail(where, "an integer in range", value);
    field = value.get<T>();
  }

  void Read(const Json& value, const std::string& where, cap::CapClass& field) {
    for (const auto candidate : kClasses) {
      if (value == cap::CapClassName(candidate)) {
        field = candidate;
        return;
      }
    }
    Fail(where, "a CAP class (PA, PC, CA, balanced, dominated, unknown)", value);
  }

  void Read(const Json& value, const std::string& where, cap::AxisId& field) {
    const auto axis = value.is_string() ? cap::FindAxis(value.get<std::string>()) : Result<cap::AxisId>(BadInput(""));
    if (!axis.ok()) return Fail(where, "the key of an axis (docs/cap.md)", value);
    field = *axis;
  }

  template <typename T>
  void Read(const Json& value, const std::string& where, std::optional<T>& field) {
    if (value.is_null()) return field.reset();
    Read(value, where, field.emplace());
  }

  template <typename T>
  void Read(const Json& value, const std::string& where, std::vector<T>& field) {
    if (!value.is_array()) return Fail(where, "an array", value);
    field.clear();
    for (size_t i = 0; i < value.size(); ++i) Read(value[i], fmt::format("{}[{}]", where, i), field.emplace_back());
  }

  template <typename T>
  void Read(const Json& value, const std::string& where, T& field) {
    if (!value.is_object()) return Fail(where, "an object", value);
    Reader reader{value, where, error};
    Fields(reader, field);
  }
};

}  // namespace

Json SummaryToJson(const cap::RunSummary& summary) {
  Writer writer;
  writer("schema", kSummarySchema);
  Fields(writer, summary);
  return std::move(writer.json);
}

Result<cap::RunSummary> SummaryFromJson(const Json& json) {
  if (!json.is_object() || !json.contains("schema") || !json.contains("systems")) {
    return BadInput("not a run summary: expected an object with the keys schema and systems; `moecap run --json` writes one");
  }
  std::optional<Error> error;
  Reader reader{json, "", error};
  int schema = 0;
  reader("schema", schema);
  if (!error && schema != kSummarySchema) {
    return BadInput(fmt::format("schema: version {} is not supported, this moecap reads version {}", schema, kSummarySchema));
  }
  cap::RunSummary summary;
  Fields(reader, summary);
  if (error) return *error;
  return summary;
}

}  // namespace moecap::report
