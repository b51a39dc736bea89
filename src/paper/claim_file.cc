#include "paper/claim_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "base/fs.h"
#include "paper/yaml_map.h"

namespace moecap::paper {
namespace {

std::vector<int64_t> Batches(YamlMap& map) {
  std::vector<int64_t> batches;
  for (const double batch : map.Ascending("batches", 1, 1)) {
    if (batch != std::floor(batch) || batch > kMostCount) {
      map.errors().Add(map.line(), fmt::format("\"batches\" must be whole numbers of at most {:g}", kMostCount));
      return {1};
    }
    batches.push_back(static_cast<int64_t>(batch));
  }
  return batches;
}

Inputs ReadModelParameters(YamlMap& map) {
  ModelParameters inputs;
  inputs.model = map.NameOf("model");
  YamlMap published = map.Map("published");
  inputs.total_params = published.OptionalNumber("total_params");
  inputs.active_params = published.OptionalNumber("active_params");
  inputs.experts = published.OptionalNumber("experts");
  inputs.top_k = published.OptionalNumber("top_k");
  inputs.shared_experts = published.OptionalNumber("shared_experts");
  published.RefuseUnknownKeys();
  if (!inputs.total_params && !inputs.active_params && !inputs.experts && !inputs.top_k && !inputs.shared_experts)
    map.errors().Add(published.line(), "\"published\" is empty; give at least one of its figures, e.g. total_params: 671e9");
  return inputs;
}

Inputs ReadActivatedShare(YamlMap& map) {
  ActivatedShare inputs;
  inputs.model = map.NameOf("model");
  inputs.batch = map.Integer("batch", 1, 1);
  YamlMap published = map.Map("published");
  inputs.activated_share = published.Number("activated_share");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadRequiredBandwidth(YamlMap& map) {
  RequiredBandwidth inputs;
  inputs.model = map.NameOf("model");
  inputs.tpot_s = map.Positive("tpot_s");
  inputs.bytes_per_param = map.Positive("bytes_per_param");
  inputs.total_params = map.Positive("total_params");
  inputs.active_params = map.Positive("active_params");
  YamlMap published = map.Map("published");
  inputs.full_activation_bytes_per_s = published.Number("full_activation_bytes_per_s", 1);
  inputs.batch_1_bytes_per_s = published.Number("batch_1_bytes_per_s", 1);
  published.RefuseUnknownKeys();
  map.ForEach("devices", [&](YamlMap& entry) {
    DeviceOnLine row;
    row.device = entry.NameOf("device");
    row.devices = entry.Integer("devices", 1, 1);
    const std::string line = entry.Text("line");
    if (line != "full_activation" && line != "batch_1")
      entry.errors().Add(entry.line(), fmt::format("\"line\" must be full_activation or batch_1, not \"{}\"", line));
    row.full_activation = line == "full_activation";
    inputs.devices.push_back(std::move(row));
  });
  return inputs;
}

Inputs ReadBatchLimit(YamlMap& map) {
  BatchLimit inputs;
  inputs.model = map.NameOf("model");
  inputs.tpot_s = map.Positive("tpot_s");
  inputs.bytes_per_param = map.Positive("bytes_per_param");
  inputs.context_tokens = map.Integer("context_tokens", 0, 0);
  inputs.used_bytes_per_s = map.Positive("used_bytes_per_s");
  inputs.needed_bytes_per_s = map.Positive("needed_bytes_per_s");
  inputs.batches = Batches(map);
  map.ForEach("published", [&](YamlMap& entry) {
    inputs.rows.push_back({entry.NameOf("device"), entry.Number("largest_batch", 1)});
  });
  return inputs;
}

Inputs ReadCapRadar(YamlMap& map) {
  CapRadar inputs;
  inputs.cost_ticks_usd = map.Ascending("cost_ticks_usd", 0, 3);
  map.ForEach("systems", [&](YamlMap& entry) {
    CapRadar::Row row;
    row.system = entry.Text("name");
    row.tpot_s = entry.Positive("tpot_s");
    row.cost_usd = entry.Number("cost_usd").value;
    row.accuracy = entry.Number("accuracy").value;
    if (row.accuracy > 1) entry.errors().Add(entry.line(), "\"accuracy\" must be between 0 and 1");
    YamlMap published = entry.Map("published");
    row.performance_score = published.OptionalNumber("performance_score");
    row.cost_score = published.OptionalNumber("cost_score");
    row.accuracy_score = published.OptionalNumber("accuracy_score");
    row.cap_class = published.OptionalText("class");
    published.RefuseUnknownKeys();
    if (!row.cap_class.empty() && row.cap_class != "PA" && row.cap_class != "PC" && row.cap_class != "CA")
      entry.errors().Add(published.line(), fmt::format("\"class\" must be PA, PC or CA, not \"{}\"", row.cap_class));
    inputs.rows.push_back(std::move(row));
  });
  return inputs;
}

// Rounding must not reach 0: the profiler's value is divided by.
Printed PositiveNumber(YamlMap& map, const char* key) {
  Printed printed = map.Number(key);
  if (!(printed.value > printed.half_digit)) {
    map.errors().Add(map.line(), fmt::format("\"{}\" must be more than half of its last digit", key));
  }
  return printed;
}

Inputs ReadErrorTable(YamlMap& map, bool flops) {
  ErrorTable inputs;
  inputs.flops = flops;
  YamlMap published = map.Map("published");
  inputs.most_relative = published.OptionalNumber("most_relative_error");
  inputs.most_points = published.OptionalNumber("most_difference");
  published.RefuseUnknownKeys();
  map.ForEach("rows", [&](YamlMap& entry) {
    inputs.rows.push_back({entry.Integer("batch", 1, 1), entry.Number("ours"), PositiveNumber(entry, "profiled")});
  });
  return inputs;
}

Inputs ReadSMfuTable(YamlMap& map) { return ReadErrorTable(map, true); }
Inputs ReadSMbuTable(YamlMap& map) { return ReadErrorTable(map, false); }

Inputs ReadUtilisation(YamlMap& map) {
  Utilisation inputs;
  inputs.model = map.NameOf("model");
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  inputs.tokens_per_s = map.Positive("tokens_per_s");
  inputs.batch = map.OptionalInteger("batch", 1);
  inputs.context_tokens = map.OptionalInteger("context_tokens", 0);
  YamlMap published = map.Map("published");
  inputs.s_mfu = published.OptionalNumber("s_mfu");
  inputs.s_mbu = published.OptionalNumber("s_mbu");
  published.RefuseUnknownKeys();
  if (!inputs.s_mfu && !inputs.s_mbu) map.errors().Add(published.line(), "\"published\" must have s_mfu or s_mbu");
  return inputs;
}

Inputs ReadVanilla(YamlMap& map) {
  VanillaOverestimate inputs;
  inputs.model = map.NameOf("model");
  inputs.batches = Batches(map);
  YamlMap published = map.Map("published");
  inputs.overestimate = published.Number("overestimate");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadOverhead(YamlMap& map) {
  ProfilingOverhead inputs;
  YamlMap published = map.Map("published");
  inputs.most_ttft_increase = published.OptionalNumber("most_ttft_increase");
  inputs.most_tpot_increase = published.OptionalNumber("most_tpot_increase");
  inputs.most_ttft_increase_s = published.OptionalNumber("most_ttft_increase_s");
  inputs.most_tpot_increase_s = published.OptionalNumber("most_tpot_increase_s");
  published.RefuseUnknownKeys();
  map.ForEach("rows", [&](YamlMap& entry) {
    ProfilingOverhead::Row row;
    row.system = entry.Text("system");
    row.ttft_before_s = PositiveNumber(entry, "ttft_before_s");
    row.ttft_after_s = entry.Number("ttft_after_s");
    row.tpot_before_s = PositiveNumber(entry, "tpot_before_s");
    row.tpot_after_s = entry.Number("tpot_after_s");
    row.ttft_increase_s = entry.OptionalNumber("listed_ttft_increase_s");
    inputs.rows.push_back(std::move(row));
  });
  return inputs;
}

Inputs ReadServerCost(YamlMap& map) {
  ServerCost inputs;
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  inputs.processor = map.NameOf("processor");
  inputs.processors = map.Integer("processors", 1, 1);
  inputs.dram_gib = map.Number("dram_gib").value;
  YamlMap published = map.Map("published");
  inputs.cost_usd = published.Number("cost_usd");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadRatio(YamlMap& map) {
  constexpr std::pair<const char*, Ratio::Form> kForms[] = {
      {"ratio", Ratio::Form::kRatio}, {"saving", Ratio::Form::kSaving}, {"increase", Ratio::Form::kIncrease}};
  Ratio inputs;
  inputs.numerator = map.Number("numerator");
  inputs.denominator = PositiveNumber(map, "denominator");
  YamlMap published = map.Map("published");
  int given = 0;
  for (const auto& [key, form] : kForms) {
    if (!published.Has(key)) continue;
    inputs.form = form;
    inputs.ratio = published.Number(key);
    ++given;
  }
  published.RefuseUnknownKeys();
  if (given != 1) map.errors().Add(published.line(), "\"published\" must have exactly one of ratio, saving and increase");
  return inputs;
}

Inputs ReadDevicePower(YamlMap& map) {
  DevicePower inputs;
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  YamlMap published = map.Map("published");
  inputs.tdp_w = published.Number("tdp_w");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadPrefill(YamlMap& map) {
  PrefillTable inputs;
  map.ForEach("rows", [&](YamlMap& entry) {
    inputs.rows.push_back({entry.Text("name"), entry.Number("ttft_s"), entry.Number("tokens_per_s")});
  });
  return inputs;
}

Inputs ReadNotComputable(YamlMap& map) { return NotComputable{map.Text("published"), map.Texts("missing")}; }

struct Kind {
  const char* name;
  Inputs (*read)(YamlMap& map);
};
constexpr Kind kKinds[] = {{"activated_share", ReadActivatedShare},
                           {"batch_limit", ReadBatchLimit},
                           {"cap_radar", ReadCapRadar},
                           {"device_power", ReadDevicePower},
                           {"model_parameters", ReadModelParameters},
                           {"not_computable", ReadNotComputable},
                           {"prefill_table", ReadPrefill},
                           {"profiling_overhead", ReadOverhead},
                           {"ratio", ReadRatio},
                           {"required_bandwidth", ReadRequiredBandwidth},
                           {"s_mbu_table", ReadSMbuTable},
                           {"s_mfu_table", ReadSMfuTable},
                           {"server_cost", ReadServerCost},
                           {"utilisation", ReadUtilisation},
                           {"vanilla_overestimate", ReadVanilla}};

std::string KindNames() {
  std::string names;
  for (const Kind& kind : kKinds) names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
  return names;
}

Claim ReadClaim(YamlMap& map, const std::string& file) {
  Claim claim;
  claim.file = file;
  claim.id = map.Text("id");
  claim.source = map.Text("source");
  claim.note = map.OptionalText("note");
  if (const auto tolerance = map.OptionalNumber("tolerance")) claim.tolerance = tolerance->value;
  if (claim.tolerance > 0.5) map.errors().Add(map.line(), "\"tolerance\" is a share of the published value and at most 0.5");
  const Name kind = map.NameOf("kind");
  claim.kind = kind.text;
  if (kind.text.empty()) return claim;
  const auto* found =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& known) { return kind.text == known.name; });
  if (found == std::end(kKinds)) {
    map.errors().Add(kind.line, fmt::format("unknown kind \"{}\"; known: {}", kind.text, KindNames()));
    return claim;
  }
  claim.inputs = found->read(map);
  return claim;
}

ClaimFile ReadTop(const YAML::Node& root, const std::string& file, FirstError& errors) {
  YamlMap map(root, "the claim file", errors);
  ClaimFile result;
  result.name = std::filesystem::path(file).stem().string();
  result.publication = map.Text("publication");
  result.title = map.Text("title");
  std::set<std::string> ids;
  map.ForEach("claims", [&](YamlMap& entry) {
    result.claims.push_back(ReadClaim(entry, file));
    const std::string& id = result.claims.back().id;
    if (!ids.insert(id).second) errors.Add(entry.line(), fmt::format("two claims have the id \"{}\"; ids must differ", id));
  });
  map.RefuseUnknownKeys();
  return result;
}

}  // namespace

Result<ClaimFile> ParseClaimFile(std::string_view text, const std::string& file) {
  FirstError errors;
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root || root.IsNull()) return BadInput(fmt::format("{}: the claim file is empty", file));
    ClaimFile claims = ReadTop(root, file, errors);
    if (errors.empty()) return claims;
  } catch (const YAML::Exception& error) {
    return BadInput(fmt::format("{}:{}: not valid YAML: {}", file, error.mark.line + 1, error.msg));
  }
  return BadInput(fmt::format("{}:{}: {}", file, errors.line(), errors.message()));
}

Result<ClaimFile> ReadClaimFile(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseClaimFile(text, file.string());
}

}  // namespace moecap::paper
