// Rows of public boards against what no machine can exceed. The floors are the least that any reading of the row leaves: one
// set of experts for the whole batch, no context, all of the row's devices on each step.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "audit/evaluators.h"
#include "base/units.h"
#include "metrics/pass_cost.h"

namespace moecap::audit {
namespace {

// Bits of a weight by the board's label, scales left out. Null: a label that says none.
std::optional<double> BitsOf(const std::string& precision) {
  if (precision == "fp4" || precision == "int4" || precision == "nvfp4" || precision == "mxfp4") return 4;
  if (precision == "fp8" || precision == "int8") return 8;
  if (precision == "bf16" || precision == "fp16") return 16;
  return std::nullopt;
}

Figure Limit(std::string quantity, Unit unit, double computed, const Printed& most) {
  Figure figure;
  figure.quantity = std::move(quantity);
  figure.unit = unit;
  figure.published = most;
  figure.relation = Relation::kAtMost;
  figure.computed = computed;
  return figure;
}

void AddShareLimit(const char* name, const std::optional<Printed>& share, ClaimReport& report) {
  if (share) report.figures.push_back(Limit(fmt::format("published {}", name), Unit::kShare, share->value, {1, 0}));
}

// Bytes of the weights that a step reads at the least.
double LeastStepBytes(model::ModelSpec spec, double bits) {
  for (const model::TensorClass c : model::kTensorClasses)
    model::SetWeightPrecision(spec, c, fmt::format("{:g} bit", bits), bits);
  record::PassRecord pass = DecodePass(1, 0);
  pass.distinct_experts = {static_cast<double>(spec.TopK())};
  return metrics::PassBytes(spec, pass, metrics::Convention::kPaper).value();
}

// A board's label is one type for all weights; the checkpoint knows its own.
void AddPrecision(const model::ModelSpec& spec, const std::string& label, double bits, ClaimReport& report) {
  const double uniform = static_cast<double>(spec.TotalParams()) * bits / 8;
  report.reasons.push_back(fmt::format("\"{}\" for every weight would be {}; the catalogue's checkpoint of {} has {}.", label,
                                       FormatBytes(uniform), spec.id, FormatBytes(spec.WeightBytes())));
}

void AddFloor(const BoardRow& inputs, const model::ModelSpec& spec, double bits, double bytes_per_s, ClaimReport& report) {
  if (!inputs.tpot_s) return;
  if (inputs.speculative) {
    report.reasons.push_back("Speculative decoding may give several tokens a step, so the time of a step is not known.");
    return;
  }
  const double bytes = LeastStepBytes(spec, bits);
  report.figures.push_back(Limit("floor of the TPOT", Unit::kSeconds, bytes / bytes_per_s, *inputs.tpot_s));
  report.figures.push_back(Limit("S-MBU, at least", Unit::kShare, bytes / bytes_per_s / inputs.tpot_s->value, {1, 0}));
  report.reasons.push_back(
      fmt::format("A step reads at least {} with one set of experts at {:g} bits; the devices read {} a second.",
                  FormatBytes(bytes), bits, FormatBytes(bytes_per_s)));
}

}  // namespace

Status Fill(const BoardRow& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(inputs.device, claim, sources));
  const auto devices = static_cast<double>(inputs.devices);
  AddShareLimit("S-MBU", inputs.s_mbu, report);
  AddShareLimit("S-MFU", inputs.s_mfu, report);
  const std::optional<double> bits = BitsOf(inputs.precision);
  if (bits) AddPrecision(spec, inputs.precision, *bits, report);
  if (bits && device.bandwidth_bytes_per_s) AddFloor(inputs, spec, *bits, devices * *device.bandwidth_bytes_per_s, report);
  if (!inputs.output_tokens_per_s_per_device) return {};
  const double tokens_per_s = devices * inputs.output_tokens_per_s_per_device->value;
  const auto peak = hardware::DensePeak(device, inputs.precision);
  if (peak) {
    const double flops = metrics::PassFlops(spec, DecodePass(1, 0), metrics::Convention::kPaper);
    report.figures.push_back(Limit("S-MFU, at least", Unit::kShare, tokens_per_s * flops / (devices * *peak), {1, 0}));
  }
  if (inputs.tpot_s) {
    // Little's law: a request is in flight for a TPOT a token, at least.
    const double in_flight = tokens_per_s * inputs.tpot_s->value;
    Printed most{static_cast<double>(inputs.concurrency), 0.02 * static_cast<double>(inputs.concurrency)};
    report.figures.push_back(Limit("requests in flight, at least", Unit::kCount, in_flight, most));
    if (in_flight > most.value + most.half_digit)
      report.reasons.push_back(
          fmt::format("{} tokens/s a device on {} devices at this TPOT are {:.0f} requests in flight, not {}: the row counts "
                      "{:.1f} times the "
                      "devices that its throughput a device was divided by.",
                      inputs.output_tokens_per_s_per_device->value, inputs.devices, in_flight, inputs.concurrency,
                      in_flight / static_cast<double>(inputs.concurrency)));
  }
  return {};
}

}  // namespace moecap::audit
