#include "report/training_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

constexpr double kMillion = 1e6;

double TokensPerS(const TrainingAnswer& answer, double step_s) { return answer.setup.tokens_per_step / step_s; }

std::optional<double> UsdPerMillionTokens(const TrainingAnswer& answer, double step_s) {
  if (!answer.usd_per_h) return std::nullopt;
  return *answer.usd_per_h / 3600 / TokensPerS(answer, step_s) * kMillion;
}

std::string Span(double low, double high, const char* form) {
  const std::string first = fmt::format(fmt::runtime(form), low), second = fmt::format(fmt::runtime(form), high);
  return first == second ? first : first + " to " + second;
}

std::vector<std::string> TrainingHeadline(const TrainingAnswer& answer) {
  const double shortest = answer.ShortestStepS(), longest = answer.LongestStepS();
  std::vector<std::string> lines;
  if (answer.measured_step_s) {
    lines.push_back(fmt::format("A step takes {} as measured: {:.4g} tokens/s, S-MFU {:.1f} %, S-MBU {:.1f} %.",
                                SecondsText(shortest), TokensPerS(answer, shortest), 100 * answer.fast.s_mfu,
                                100 * answer.fast.s_mbu));
  } else {
    lines.push_back(fmt::format(
        "A step takes {} when communication hides behind computation, {} when it does not: {} tokens/s.", SecondsText(shortest),
        SecondsText(longest), Span(TokensPerS(answer, longest), TokensPerS(answer, shortest), "{:.4g}")));
    lines.push_back(fmt::format("S-MFU {} %, S-MBU {} %.", Span(100 * answer.slow.s_mfu, 100 * answer.fast.s_mfu, "{:.1f}"),
                                Span(100 * answer.slow.s_mbu, 100 * answer.fast.s_mbu, "{:.1f}")));
  }
  if (answer.TooFast()) {
    lines.push_back(
        fmt::format("No such machine is that fast: at the peaks of all devices the step takes {} at least. Look at --step-s or "
                    "--device-hours and --tokens, --tokens-per-step, --micro-batch, --on and --products.",
                    SecondsText(answer.least_step_s)));
  }
  const double million_flops = answer.work.flops / answer.setup.tokens_per_step * kMillion;
  lines.push_back(fmt::format("A million tokens are {:.4g} FLOP of the model{}.", million_flops,
                              answer.usd_per_h ? fmt::format(" and cost USD {} ({})",
                                                             Span(*UsdPerMillionTokens(answer, shortest),
                                                                  *UsdPerMillionTokens(answer, longest), "{:.3g}"),
                                                             answer.usd_source)
                                               : ""));
  const double held = answer.memory.Total();
  lines.push_back(held <= answer.device_bytes
                      ? fmt::format("A device holds {} of its {}.", BytesText(held), BytesText(answer.device_bytes))
                      : fmt::format("It does not fit: a device would hold {} and has {}.", BytesText(held),
                                    BytesText(answer.device_bytes)));
  return lines;
}

}  // namespace

Document TrainingDocument(const TrainingAnswer& answer) {
  Document document;
  document.kind = "plan training";
  document.title = answer.model;
  const planner::TrainingSetup& setup = answer.setup;
  const metrics::Deployment& d = setup.deployment;
  document.about.items = {{"devices", answer.devices},
                          {"layout", fmt::format("TP {}, EP {}, PP {} and DP {}", d.tensor, d.expert, d.pipeline, d.data)},
                          {"step", fmt::format("{:.4g} tokens in sequences of {:g}, micro-batches of {:g}",
                                               setup.tokens_per_step, setup.sequence_tokens, setup.tokens_per_micro_batch)},
                          {"types", fmt::format("{} products, fp32 gradients, {:g} bytes of optimiser a parameter",
                                                setup.matrix_type, setup.state_bytes)}};
  document.headline = TrainingHeadline(answer);
  const planner::TrainingWork& work = answer.work;
  KeyValues step{.title = "A step, all devices together",
                 .items = {{"model FLOPs", fmt::format("{:.4g}", work.flops)},
                           {"executed FLOPs", fmt::format("{:.4g}", work.executed_flops)},
                           {"memory traffic", BytesText(work.bytes)},
                           {"all-to-all of experts", BytesText(work.expert_link_bytes)},
                           {"gradients and weights", BytesText(work.gradient_link_bytes)}}};
  if (answer.time) {
    step.items.emplace_back("computing", SecondsText(answer.time->compute_s));
    step.items.emplace_back("element by element", SecondsText(answer.time->elementwise_s));
    step.items.emplace_back("memory at peak", SecondsText(answer.time->memory_s));
    step.items.emplace_back("links at peak", SecondsText(answer.time->link_s));
  }
  const planner::TrainingMemory& memory = answer.memory;
  KeyValues held{.title = "A device holds",
                 .items = {{"weights", BytesText(memory.weights)},
                           {"gradients", BytesText(memory.gradients)},
                           {"optimiser", BytesText(memory.optimiser)},
                           {"activations", BytesText(memory.activations)}}};
  document.sections.push_back({.heading = "Step", .detail = Detail::kFirstScreen, .blocks = {step, held}});
  if (!answer.notes.empty())
    document.sections.push_back({.heading = "Notes", .detail = Detail::kFirstScreen, .blocks = {Notes{"", answer.notes}}});
  return document;
}

Json TrainingToJson(const TrainingAnswer& answer) {
  const auto optional = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  const double shortest = answer.ShortestStepS(), longest = answer.LongestStepS();
  const planner::TrainingWork& work = answer.work;
  const planner::TrainingMemory& memory = answer.memory;
  const metrics::Deployment& d = answer.setup.deployment;
  return {{"schema", 1},
          {"model", answer.model},
          {"devices", answer.devices},
          {"deployment", {{"tensor", d.tensor}, {"expert", d.expert}, {"pipeline", d.pipeline}, {"data", d.data}}},
          {"tokens_per_step", answer.setup.tokens_per_step},
          {"model_flops", work.flops},
          {"executed_flops", work.executed_flops},
          {"memory_bytes_moved", work.bytes},
          {"expert_link_bytes", work.expert_link_bytes},
          {"gradient_link_bytes", work.gradient_link_bytes},
          {"device_weights_bytes", memory.weights},
          {"device_gradients_bytes", memory.gradients},
          {"device_optimiser_bytes", memory.optimiser},
          {"device_activations_bytes", memory.activations},
          {"device_memory_bytes", answer.device_bytes},
          {"measured_step_s", optional(answer.measured_step_s)},
          {"least_step_s", answer.least_step_s},
          {"faster_than_peaks", answer.TooFast()},
          {"step_low_s", shortest},
          {"step_high_s", longest},
          {"s_mfu_low", answer.slow.s_mfu},
          {"s_mfu_high", answer.fast.s_mfu},
          {"s_mbu_low", answer.slow.s_mbu},
          {"s_mbu_high", answer.fast.s_mbu},
          {"usd_per_h", optional(answer.usd_per_h)},
          {"usd_per_million_tokens_low", optional(UsdPerMillionTokens(answer, shortest))},
          {"usd_per_million_tokens_high", optional(UsdPerMillionTokens(answer, longest))},
          {"notes", answer.notes}};
}

}  // namespace moecap::report
