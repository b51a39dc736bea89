// Claims about the memory bandwidth that a time per output token needs.
#include <fmt/format.h>

#include <algorithm>

#include "audit/evaluators.h"
#include "base/units.h"
#include "metrics/batch_curve.h"

namespace moecap::audit {
namespace {

constexpr double kBitsPerByte = 8;

// Every class of tensors stored in `bytes_per_param` a parameter.
void SetUniformPrecision(model::ModelSpec& spec, double bytes_per_param) {
  for (const model::TensorClass c : model::kTensorClasses)
    model::SetWeightPrecision(spec, c, fmt::format("{:g} bit", kBitsPerByte * bytes_per_param), kBitsPerByte * bytes_per_param);
}

Figure BandwidthFigure(std::string quantity, const std::optional<Printed>& published, double computed) {
  Figure figure;
  figure.quantity = std::move(quantity);
  figure.unit = Unit::kBytesPerS;
  figure.published = published;
  figure.computed = computed;
  return figure;
}

Figure ShareFigure(std::string quantity, double computed) {
  Figure figure;
  figure.quantity = std::move(quantity);
  figure.unit = Unit::kShare;
  figure.computed = computed;
  return figure;
}

// The catalogue's devices that have at least `needed` bytes a second alone, least power first.
std::string DevicesAbove(double needed, const hardware::Catalogue& catalogue) {
  std::vector<const hardware::Device*> enough;
  for (const hardware::Device& device : catalogue.devices()) {
    if (device.bandwidth_bytes_per_s.value_or(0) >= needed && device.tdp_w) enough.push_back(&device);
  }
  std::stable_sort(enough.begin(), enough.end(), [](const auto* a, const auto* b) { return *a->tdp_w < *b->tdp_w; });
  if (enough.empty()) return "no single device of the catalogue reaches it";
  constexpr size_t kNamed = 3;
  std::string names;
  for (size_t i = 0; i < std::min(kNamed, enough.size()); ++i)
    names += fmt::format("{}{} ({:g} W)", i == 0 ? "" : ", ", enough[i]->name, *enough[i]->tdp_w);
  return fmt::format("{} device{} of the catalogue reach{} it alone; of least power: {}", enough.size(),
                     enough.size() == 1 ? "" : "s", enough.size() == 1 ? "es" : "", names);
}

Status AddDevice(const DeviceOnLine& row, const RequiredBandwidth& inputs, const Claim& claim, const Sources& sources,
                 ClaimReport& report) {
  ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(row.device, claim, sources));
  if (!device.bandwidth_bytes_per_s) return LacksValue(row.device, claim, "memory bandwidth");
  const Printed& line = row.full_activation ? inputs.full_activation_bytes_per_s : inputs.batch_1_bytes_per_s;
  Figure figure = BandwidthFigure(fmt::format("{}{}", row.devices > 1 ? fmt::format("{} x ", row.devices) : "", device.name),
                                  line, static_cast<double>(row.devices) * *device.bandwidth_bytes_per_s);
  figure.relation = Relation::kOver;
  report.figures.push_back(std::move(figure));
  return {};
}

// The S-MBU from which on the published batch is kept, if it was among those tried.
std::string NeededSMbu(const std::vector<metrics::BatchPoint>& curve, const Printed& batch, double peak_bytes) {
  for (const metrics::BatchPoint& point : curve) {
    if (static_cast<double>(point.batch) == batch.value)
      return fmt::format(" Batch {} would need S-MBU {:.3f}.", point.batch, point.bytes_per_step / peak_bytes);
  }
  return "";
}

// The S-MBUs with which every row would keep its published batch and not the next one that was tried. high: null = no limit.
struct SMbuRange {
  double low = 0;
  std::optional<double> high;

  void Narrow(const std::vector<metrics::BatchPoint>& curve, const Printed& batch, double peak_bytes) {
    for (size_t i = 0; i < curve.size(); ++i) {
      if (static_cast<double>(curve[i].batch) != batch.value) continue;
      low = std::max(low, curve[i].bytes_per_step / peak_bytes);
      if (i + 1 == curve.size()) continue;
      const double next = curve[i + 1].bytes_per_step / peak_bytes;
      high = std::min(high.value_or(next), next);
    }
  }
};

std::string SMbuRemark(const SMbuRange& range) {
  if (!range.high) return fmt::format("Any S-MBU from {:.3f} on would give every published batch.", range.low);
  if (*range.high <= range.low) return "No single S-MBU gives every published batch.";
  return fmt::format("An S-MBU from {:.3f} to {:.3f} would give every published batch.", range.low, *range.high);
}

// The largest batch of the curve whose step is read within `tpot_s`. 0 = none of them.
int64_t LargestBatch(const std::vector<metrics::BatchPoint>& curve, double bytes_per_s, double tpot_s) {
  int64_t largest = 0;
  for (const metrics::BatchPoint& point : curve) {
    if (point.bytes_per_step / bytes_per_s <= tpot_s) largest = point.batch;
  }
  return largest;
}

}  // namespace

Status Fill(const RequiredBandwidth& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  const double per_param = inputs.bytes_per_param / inputs.tpot_s;  // bytes a second for each parameter
  const double full = inputs.total_params * per_param;
  const double single = inputs.active_params * per_param;
  const double full_smbu = full / inputs.full_activation_bytes_per_s.value;
  const double single_smbu = single / inputs.batch_1_bytes_per_s.value;
  report.figures = {BandwidthFigure("all experts, S-MBU of batch 1", inputs.full_activation_bytes_per_s, full / single_smbu),
                    BandwidthFigure("batch 1, S-MBU of all experts", inputs.batch_1_bytes_per_s, single / full_smbu),
                    BandwidthFigure("all experts, S-MBU 1", std::nullopt, full),
                    BandwidthFigure("batch 1, S-MBU 1", std::nullopt, single)};
  report.reasons.push_back(
      fmt::format("Parameters x {:g} byte / TPOT is {} with every expert and {} at batch 1; the published figures are those "
                  "over an S-MBU that the "
                  "publication does not name: {:.4f} and {:.4f}.",
                  inputs.bytes_per_param, FormatFigure(full, Unit::kBytesPerS), FormatFigure(single, Unit::kBytesPerS),
                  full_smbu, single_smbu));

  report.figures.push_back(ShareFigure("S-MBU implied, all experts", full_smbu));
  report.figures.push_back(ShareFigure("S-MBU implied, batch 1", single_smbu));

  SetUniformPrecision(spec, inputs.bytes_per_param);
  const int64_t one = 1;
  const double single_bytes = metrics::DecodeCurve(spec, {&one, 1}, {.context_tokens = 0}).front().bytes_per_step;
  // An input embedding of its own is not read as a whole; a tied one is the head.
  const double unread = spec.tied_embedding ? 0 : spec.ends[model::TensorClass::kEmbedding].bytes;
  const double all_bytes = spec.WeightBytes() - unread;
  report.figures.push_back(BandwidthFigure("ours, all experts, S-MBU 1", std::nullopt, all_bytes / inputs.tpot_s));
  report.figures.push_back(BandwidthFigure("ours, batch 1, S-MBU 1", std::nullopt, single_bytes / inputs.tpot_s));
  report.reasons.push_back(fmt::format(
      "Ours: the complete convention (head, norms and router included, one row of the input embedding) at {:g} byte a "
      "parameter, without KV cache: {} and {} a step.",
      inputs.bytes_per_param, FormatBytes(all_bytes), FormatBytes(single_bytes)));
  for (const DeviceOnLine& row : inputs.devices) RETURN_IF_ERROR(AddDevice(row, inputs, claim, sources, report));
  report.reasons.push_back(
      fmt::format("Full activation: {}.", DevicesAbove(inputs.full_activation_bytes_per_s.value, sources.devices)));
  report.reasons.push_back(fmt::format("Batch 1: {}.", DevicesAbove(inputs.batch_1_bytes_per_s.value, sources.devices)));
  return {};
}

Status Fill(const BatchLimit& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  SetUniformPrecision(spec, inputs.bytes_per_param);
  const double s_mbu = inputs.used_bytes_per_s / inputs.needed_bytes_per_s;
  const auto curve = metrics::DecodeCurve(spec, inputs.batches, {.context_tokens = inputs.context_tokens});
  const auto uniform = metrics::DecodeCurve(spec, inputs.batches, {.context_tokens = inputs.context_tokens, .cv = kUniformCv});
  const auto strong = metrics::DecodeCurve(spec, inputs.batches, {.context_tokens = inputs.context_tokens, .cv = kStrongCv});
  SMbuRange fitting;
  for (const BatchLimit::Row& row : inputs.rows) {
    ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(row.device, claim, sources));
    if (!device.bandwidth_bytes_per_s) return LacksValue(row.device, claim, "memory bandwidth");
    Figure figure;
    figure.quantity = fmt::format("batch, {}", row.device.text);
    figure.published = row.batch;
    const double bytes_per_s = *device.bandwidth_bytes_per_s;
    figure.computed = static_cast<double>(LargestBatch(curve, s_mbu * bytes_per_s, inputs.tpot_s));
    figure.low = static_cast<double>(LargestBatch(uniform, s_mbu * bytes_per_s, inputs.tpot_s));
    figure.high = static_cast<double>(LargestBatch(strong, s_mbu * bytes_per_s, inputs.tpot_s));
    figure.estimated = true;
    // The S-MBU of this device was not published; that of the pair above belongs to another one. No S-MBU exceeds 1.
    figure.possible_low = 0;
    figure.possible_high = static_cast<double>(LargestBatch(strong, bytes_per_s, inputs.tpot_s));
    if (Judge(figure) == Verdict::kNotComputable) report.missing.push_back(fmt::format("the S-MBU on {}", device.name));
    fitting.Narrow(curve, row.batch, bytes_per_s * inputs.tpot_s);
    report.reasons.push_back(fmt::format(
        "{}: in {} it reads {} at S-MBU {:.3f}, enough for batch {:g} ({:g} with uniform routing, {:g} "
        "with popularity CV {:g}).{}",
        device.name, FormatSeconds(inputs.tpot_s), FormatBytes(s_mbu * bytes_per_s * inputs.tpot_s), s_mbu, *figure.computed,
        *figure.low, *figure.high, kStrongCv, NeededSMbu(curve, row.batch, bytes_per_s * inputs.tpot_s)));
    if (device.memory_bytes && *device.memory_bytes < spec.WeightBytes()) {
      report.reasons.push_back(
          fmt::format("The weights ({}) do not fit into the {} of {}: the publication must have stored them in "
                      "fewer bits, or reloaded them.",
                      FormatBytes(spec.WeightBytes()), FormatBytes(*device.memory_bytes), device.name));
    }
    report.figures.push_back(std::move(figure));
  }
  report.reasons.push_back(SMbuRemark(fitting));
  report.reasons.push_back(fmt::format("A step reads an estimated {} at batch {} and {} at batch {}, of {} of weights.",
                                       FormatBytes(curve.front().bytes_per_step), curve.front().batch,
                                       FormatBytes(curve.back().bytes_per_step), curve.back().batch,
                                       FormatBytes(spec.WeightBytes())));
  return {};
}

}  // namespace moecap::audit
