#include "audit/claim_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "audit/claim_map.h"
#include "base/fs.h"
#include "base/yaml.h"

namespace moecap::audit {
namespace {

std::vector<int64_t> Batches(ClaimMap& map) {
  std::vector<int64_t> batches;
  for (const double batch : map.Ascending("batches", 1, 1)) {
    if (batch != std::floor(batch) || batch > kMostCount) {
      map.Complain(map.line(), fmt::format("\"batches\" must be whole numbers of at most {:g}", kMostCount));
      return {1};
    }
    batches.push_back(static_cast<int64_t>(batch));
  }
  return batches;
}

Inputs ReadModelParameters(ClaimMap& map) {
  ModelParameters inputs;
  inputs.model = map.NameOf("model");
  ClaimMap published = map.Map("published");
  inputs.total_params = published.OptionalNumber("total_params");
  inputs.active_params = published.OptionalNumber("active_params");
  inputs.experts = published.OptionalNumber("experts");
  inputs.top_k = published.OptionalNumber("top_k");
  inputs.shared_experts = published.OptionalNumber("shared_experts");
  published.RefuseUnknownKeys();
  if (!inputs.total_params && !inputs.active_params && !inputs.experts && !inputs.top_k && !inputs.shared_experts)
    map.Complain(published.line(), "\"published\" is empty; give at least one of its figures, e.g. total_params: 671e9");
  return inputs;
}

Inputs ReadActivatedShare(ClaimMap& map) {
  ActivatedShare inputs;
  inputs.model = map.NameOf("model");
  inputs.batch = map.Integer("batch", 1, 1);
  ClaimMap published = map.Map("published");
  inputs.activated_share = published.Number("activated_share");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadRequiredBandwidth(ClaimMap& map) {
  RequiredBandwidth inputs;
  inputs.model = map.NameOf("model");
  inputs.tpot_s = map.Positive("tpot_s");
  inputs.bytes_per_param = map.Positive("bytes_per_param");
  inputs.total_params = map.Positive("total_params");
  inputs.active_params = map.Positive("active_params");
  ClaimMap published = map.Map("published");
  inputs.full_activation_bytes_per_s = published.Number("full_activation_bytes_per_s", 1);
  inputs.batch_1_bytes_per_s = published.Number("batch_1_bytes_per_s", 1);
  published.RefuseUnknownKeys();
  map.ForEach("devices", [&](ClaimMap& entry) {
    DeviceOnLine row;
    row.device = entry.NameOf("device");
    row.devices = entry.Integer("devices", 1, 1);
    const std::string line = entry.Text("line");
    if (line != "full_activation" && line != "batch_1")
      entry.Complain(entry.line(), fmt::format("\"line\" must be full_activation or batch_1, not \"{}\"", line));
    row.full_activation = line == "full_activation";
    inputs.devices.push_back(std::move(row));
  });
  return inputs;
}

Inputs ReadBatchLimit(ClaimMap& map) {
  BatchLimit inputs;
  inputs.model = map.NameOf("model");
  inputs.tpot_s = map.Positive("tpot_s");
  inputs.bytes_per_param = map.Positive("bytes_per_param");
  inputs.context_tokens = map.Integer("context_tokens", 0, 0);
  inputs.used_bytes_per_s = map.Positive("used_bytes_per_s");
  inputs.needed_bytes_per_s = map.Positive("needed_bytes_per_s");
  inputs.batches = Batches(map);
  map.ForEach("published", [&](ClaimMap& entry) {
    inputs.rows.push_back({entry.NameOf("device"), entry.Number("largest_batch", 1)});
  });
  return inputs;
}

Inputs ReadCapRadar(ClaimMap& map) {
  CapRadar inputs;
  inputs.cost_ticks_usd = map.Ascending("cost_ticks_usd", 0, 3);
  map.ForEach("systems", [&](ClaimMap& entry) {
    CapRadar::Row row;
    row.system = entry.Text("name");
    row.tpot_s = entry.Positive("tpot_s");
    row.cost_usd = entry.Number("cost_usd").value;
    row.accuracy = entry.Number("accuracy").value;
    if (row.accuracy > 1) entry.Complain(entry.line(), "\"accuracy\" must be between 0 and 1");
    ClaimMap published = entry.Map("published");
    row.performance_score = published.OptionalNumber("performance_score");
    row.cost_score = published.OptionalNumber("cost_score");
    row.accuracy_score = published.OptionalNumber("accuracy_score");
    row.cap_class = published.OptionalText("class");
    published.RefuseUnknownKeys();
    if (!row.cap_class.empty() && row.cap_class != "PA" && row.cap_class != "PC" && row.cap_class != "CA")
      entry.Complain(published.line(), fmt::format("\"class\" must be PA, PC or CA, not \"{}\"", row.cap_class));
    inputs.rows.push_back(std::move(row));
  });
  return inputs;
}

// Rounding must not reach 0: the profiler's value is divided by.
Printed PositiveNumber(ClaimMap& map, const char* key) {
  Printed printed = map.Number(key);
  if (!(printed.value > printed.half_digit)) {
    map.Complain(map.line(), fmt::format("\"{}\" must be more than half of its last digit", key));
  }
  return printed;
}

Inputs ReadErrorTable(ClaimMap& map, bool flops) {
  ErrorTable inputs;
  inputs.flops = flops;
  ClaimMap published = map.Map("published");
  inputs.most_relative = published.OptionalNumber("most_relative_error");
  inputs.most_points = published.OptionalNumber("most_difference");
  published.RefuseUnknownKeys();
  map.ForEach("rows", [&](ClaimMap& entry) {
    inputs.rows.push_back({entry.Integer("batch", 1, 1), entry.Number("ours"), PositiveNumber(entry, "profiled")});
  });
  return inputs;
}

Inputs ReadSMfuTable(ClaimMap& map) { return ReadErrorTable(map, true); }
Inputs ReadSMbuTable(ClaimMap& map) { return ReadErrorTable(map, false); }

Inputs ReadUtilisation(ClaimMap& map) {
  Utilisation inputs;
  inputs.model = map.NameOf("model");
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  inputs.tokens_per_s = map.Positive("tokens_per_s");
  inputs.batch = map.OptionalInteger("batch", 1);
  inputs.context_tokens = map.OptionalInteger("context_tokens", 0);
  ClaimMap published = map.Map("published");
  inputs.s_mfu = published.OptionalNumber("s_mfu");
  inputs.s_mbu = published.OptionalNumber("s_mbu");
  published.RefuseUnknownKeys();
  if (!inputs.s_mfu && !inputs.s_mbu) map.Complain(published.line(), "\"published\" must have s_mfu or s_mbu");
  return inputs;
}

Inputs ReadVanilla(ClaimMap& map) {
  VanillaOverestimate inputs;
  inputs.model = map.NameOf("model");
  inputs.batches = Batches(map);
  ClaimMap published = map.Map("published");
  inputs.overestimate = published.Number("overestimate");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadOverhead(ClaimMap& map) {
  ProfilingOverhead inputs;
  ClaimMap published = map.Map("published");
  inputs.most_ttft_increase = published.OptionalNumber("most_ttft_increase");
  inputs.most_tpot_increase = published.OptionalNumber("most_tpot_increase");
  inputs.most_ttft_increase_s = published.OptionalNumber("most_ttft_increase_s");
  inputs.most_tpot_increase_s = published.OptionalNumber("most_tpot_increase_s");
  published.RefuseUnknownKeys();
  map.ForEach("rows", [&](ClaimMap& entry) {
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

Inputs ReadServerCost(ClaimMap& map) {
  ServerCost inputs;
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  inputs.processor = map.NameOf("processor");
  inputs.processors = map.Integer("processors", 1, 1);
  inputs.dram_gib = map.Number("dram_gib").value;
  ClaimMap published = map.Map("published");
  inputs.cost_usd = published.Number("cost_usd");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadRatio(ClaimMap& map) {
  constexpr std::pair<const char*, Ratio::Form> kForms[] = {
      {"ratio", Ratio::Form::kRatio}, {"saving", Ratio::Form::kSaving}, {"increase", Ratio::Form::kIncrease}};
  Ratio inputs;
  inputs.numerator = map.Number("numerator");
  inputs.denominator = PositiveNumber(map, "denominator");
  ClaimMap published = map.Map("published");
  int given = 0;
  for (const auto& [key, form] : kForms) {
    if (!published.Has(key)) continue;
    inputs.form = form;
    inputs.ratio = published.Number(key);
    ++given;
  }
  published.RefuseUnknownKeys();
  if (given != 1) map.Complain(published.line(), "\"published\" must have exactly one of ratio, saving and increase");
  return inputs;
}

Inputs ReadDevicePower(ClaimMap& map) {
  DevicePower inputs;
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  ClaimMap published = map.Map("published");
  inputs.tdp_w = published.Number("tdp_w");
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadPrefill(ClaimMap& map) {
  PrefillTable inputs;
  map.ForEach("rows", [&](ClaimMap& entry) {
    inputs.rows.push_back({entry.Text("name"), entry.Number("ttft_s"), entry.Number("tokens_per_s")});
  });
  return inputs;
}

Inputs ReadBoardRow(ClaimMap& map) {
  BoardRow inputs;
  inputs.model = map.NameOf("model");
  inputs.device = map.NameOf("device");
  inputs.devices = map.Integer("devices", 1, 1);
  inputs.precision = map.Text("precision");
  inputs.concurrency = map.Integer("concurrency", 1, 1);
  inputs.input_tokens = map.Integer("input_tokens", 0, 0);
  inputs.speculative = map.OptionalText("speculative") == "true";
  ClaimMap published = map.Map("published");
  inputs.tpot_s = published.OptionalNumber("tpot_s");
  inputs.output_tokens_per_s_per_device = published.OptionalNumber("output_tokens_per_s_per_device");
  inputs.s_mbu = published.OptionalNumber("s_mbu");
  inputs.s_mfu = published.OptionalNumber("s_mfu");
  published.RefuseUnknownKeys();
  if (!inputs.tpot_s && !inputs.output_tokens_per_s_per_device && !inputs.s_mbu && !inputs.s_mfu)
    map.Complain(published.line(), "\"published\" must have tpot_s, output_tokens_per_s_per_device, s_mbu or s_mfu");
  return inputs;
}

std::string OneOf(ClaimMap& map, const char* key, std::string value, std::initializer_list<const char*> words) {
  if (std::find(words.begin(), words.end(), value) == words.end())
    map.Complain(map.line(), fmt::format("\"{}\" must be one of {}, not \"{}\"", key, fmt::join(words, ", "), value));
  return value;
}

Inputs ReadDecisionRow(ClaimMap& map) {
  DecisionRow inputs;
  inputs.model = map.NameOf("model");
  inputs.device = map.NameOf("device");
  inputs.most_devices = map.Integer("most_devices", 1, 1);
  inputs.batches = Batches(map);
  for (const std::string& goal : map.Texts("goals"))
    inputs.goals.push_back(OneOf(map, "goals", goal, {"latency", "throughput", "cost", "power", "accuracy"}));
  ClaimMap published = map.Map("published");
  inputs.systems = published.Texts("systems");
  inputs.weights = OneOf(published, "weights", published.Text("weights"), {"original", "8-bit", "quantised"});
  inputs.offload = OneOf(published, "experts", published.Text("experts"), {"devices", "offloaded"}) == "offloaded";
  published.RefuseUnknownKeys();
  return inputs;
}

Inputs ReadNotComputable(ClaimMap& map) { return NotComputable{map.Text("published"), map.Texts("missing")}; }

struct Kind {
  const char* name;
  Inputs (*read)(ClaimMap& map);
};
constexpr Kind kKinds[] = {{"activated_share", ReadActivatedShare},
                           {"batch_limit", ReadBatchLimit},
                           {"board_row", ReadBoardRow},
                           {"cap_radar", ReadCapRadar},
                           {"decision_row", ReadDecisionRow},
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

Claim ReadClaim(ClaimMap& map, const std::string& file) {
  Claim claim;
  claim.file = file;
  claim.id = map.Text("id");
  claim.source = map.Text("source");
  claim.note = map.OptionalText("note");
  if (const auto tolerance = map.OptionalNumber("tolerance")) claim.tolerance = tolerance->value;
  if (claim.tolerance > 0.5) map.Complain(map.line(), "\"tolerance\" is a share of the published value and at most 0.5");
  const Name kind = map.NameOf("kind");
  claim.kind = kind.text;
  if (kind.text.empty()) return claim;
  const auto* found =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& known) { return kind.text == known.name; });
  if (found == std::end(kKinds)) {
    map.Complain(kind.line, fmt::format("unknown kind \"{}\"; known: {}", kind.text, KindNames()));
    return claim;
  }
  claim.inputs = found->read(map);
  return claim;
}

ClaimFile ReadTop(const YamlNode& root, const std::string& file, YamlErrors& errors) {
  ClaimMap map(root, "the claim file", errors);
  ClaimFile result;
  result.name = std::filesystem::path(file).stem().string();
  result.publication = map.Text("publication");
  result.title = map.Text("title");
  std::set<std::string> ids;
  map.ForEach("claims", [&](ClaimMap& entry) {
    result.claims.push_back(ReadClaim(entry, file));
    const std::string& id = result.claims.back().id;
    if (!ids.insert(id).second) entry.Complain(entry.line(), fmt::format("two claims have the id \"{}\"; ids must differ", id));
  });
  map.RefuseUnknownKeys();
  return result;
}

}  // namespace

Result<ClaimFile> ParseClaimFile(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  if (root.kind == YamlNode::Kind::kNull) return BadInput(fmt::format("{}: the claim file is empty", file));
  YamlErrors errors(file);
  ClaimFile claims = ReadTop(root, file, errors);
  if (!errors.empty()) return errors.first();
  return claims;
}

Result<ClaimFile> ReadClaimFile(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseClaimFile(text, file.string());
}

}  // namespace moecap::audit
