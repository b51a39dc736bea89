#include "report/plan_document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/units.h"
#include "report/format.h"
#include "report/plan_classes.h"

namespace moecap::report {
namespace {

using planner::Candidate;
using planner::Plan;
using planner::Residence;

constexpr size_t kShown = 10;      // ways in the table
constexpr double kNearCost = 1.4;  // a runner-up that is nearer than the error of a prediction

std::string MonthText(const Candidate& candidate) {
  return candidate.money.usd_per_h ? fmt::format("USD {:.0f} a month", candidate.UsdPerMonth()) : "a price that is not known";
}

std::string BandText(double seconds, const planner::ErrorBand& band) {
  if (!std::isfinite(seconds)) return "without end: the queue grows";
  return fmt::format("{} ({} to {})", SecondsText(seconds), SecondsText(seconds * band.low), SecondsText(seconds * band.high));
}

std::string DeploymentText(const metrics::Deployment& d) {
  std::vector<std::string> parts;
  if (d.tensor > 1) parts.push_back(fmt::format("TP {}", d.tensor));
  if (d.expert > 1) parts.push_back(fmt::format("EP {}", d.expert));
  if (d.pipeline > 1) parts.push_back(fmt::format("PP {}", d.pipeline));
  if (d.data > 1) parts.push_back(fmt::format("DP {}", d.data));
  return parts.empty() ? "one device" : JoinWords(parts);
}

std::string LoadText(const planner::Load& load) {
  const std::string amount = load.clients ? CountText(static_cast<int64_t>(*load.clients), "client", "clients")
                                          : fmt::format("{:g} requests/s", *load.requests_per_s);
  std::string text = fmt::format("{}, {:.0f} tokens in, {:.0f} out", amount, load.input_tokens, load.output_tokens);
  if (load.input_cv > 0 || load.output_cv > 0)
    text += fmt::format(", whose lengths spread by {:g} and {:g} of the means", load.input_cv, load.output_cv);
  if (load.prefix_hit > 0) text += fmt::format(", {} of the input cached", ShareText(load.prefix_hit, 0));
  if (load.drafted_tokens > 0)
    text += fmt::format(", {:g} drafted tokens of which {:g} are accepted", load.drafted_tokens, load.accepted_tokens);
  return text;
}

std::string TargetsText(const planner::Question& question) {
  std::vector<std::string> parts;
  const auto add = [&](const char* name, const std::optional<double>& target) {
    if (target) parts.push_back(fmt::format("{} at most {}", name, SecondsText(target)));
  };
  add("TPOT", question.targets.tpot_s);
  add("TTFT", question.targets.ttft_s);
  add("E2E", question.targets.e2e_s);
  if (parts.empty()) return "none";
  return fmt::format("{}, with a margin of {:g}", JoinWords(parts), question.margin);
}

// Of the best way; "" where its launch lets run what memory holds.
std::string RunningLimitText(const Plan& plan) {
  if (!plan.best || !std::isfinite(plan.Best()->running_limit)) return "";
  return fmt::format("at most {:.0f} in a replica{}", plan.Best()->running_limit,
                     plan.question.max_running ? "" : fmt::format(", the default of {}", plan.Best()->system));
}

std::string LaunchText(const Plan& plan) {
  const planner::Launch launch = plan.question.launch;
  const bool one_kind = plan.best && plan.Best()->default_time <= 1 && plan.Best()->serving.untuned_s <= 0;
  if (launch != planner::Launch::kTuned && one_kind) return "of one kind, as far as is known";
  if (launch == planner::Launch::kEither) return "tuned; bands reach to default settings";
  return launch == planner::Launch::kTuned ? "tuned" : "with default settings";
}

// Of a launch that is not known: what it means if nobody tunes it. "" = nothing is known of that.
std::string DefaultLaunchLine(const Plan& plan) {
  const Candidate& best = *plan.Best();
  if (best.default_time <= 1 || !std::isfinite(best.serving.tpot_s)) return "";
  const double tpot_s = best.default_time * best.serving.tpot_s;
  const auto& target = plan.question.targets.tpot_s;
  const bool over = target && tpot_s > *target;
  return fmt::format(
      "That is for a tuned launch; with default settings {:.2g} times the TPOT was usual (SGLang's cookbook), {}{}.",
      best.default_time, SecondsText(tpot_s),
      over ? ", over the TPOT target: tune the launch, or plan with --launch default" : "");
}

std::string LimitsText(const planner::Question& question) {
  const planner::Limits& limits = question.limits;
  std::vector<std::string> parts;
  if (limits.purchase_usd) parts.push_back(fmt::format("a purchase of USD {:.0f}", *limits.purchase_usd));
  if (limits.usd_per_month) parts.push_back(fmt::format("USD {:.0f} a month", *limits.usd_per_month));
  if (limits.watts) parts.push_back(fmt::format("{:.0f} W", *limits.watts));
  for (const std::string& each : limits.device_classes) parts.push_back(each + " devices");
  for (const std::string& each : limits.devices) parts.push_back(each);
  if (question.owned) {
    for (const cost::MachinePart& part : question.owned->devices)
      parts.push_back(fmt::format("{} x {}, owned", part.count, part.id));
    if (question.owned->dram_bytes) parts.push_back(BytesText(question.owned->dram_bytes) + " of host memory");
  }
  return parts.empty() ? "none" : JoinWords(parts);
}

std::vector<std::string> NowhereHeadline(const Plan& plan) {
  const auto& shortage = plan.search.shortage;
  const std::string lacks = shortage ? WordsOf(*shortage, plan.search.variants) : "";
  if (const auto& refusals = plan.search.refusals; !refusals.empty()) {
    std::vector<std::string> reasons = planner::ReasonsOf(refusals, [](const planner::Refusal&) { return true; });
    constexpr size_t kMostReasons = 4;
    if (reasons.size() > kMostReasons) reasons.resize(kMostReasons);
    std::vector<std::string> lines = {
        fmt::format("No system takes {} where it fits: {}.", plan.model, fmt::join(reasons, "; "))};
    if (!lacks.empty() && shortage->memory == planner::ShortOf::kHost) lines.push_back(Sentence("or more memory: " + lacks));
    return lines;
  }
  if (!shortage) return {"No device that the limits allow can serve this model."};
  return {fmt::format("{} does not fit: {}.", plan.model, lacks)};
}

// The first answer whose device the multipliers were fitted on; null when there is none.
const Candidate* BestMeasured(const Plan& plan) {
  for (const Candidate& candidate : plan.search.candidates) {
    if (candidate.Answers() && candidate.measured) return &candidate;
  }
  return nullptr;
}

std::vector<std::string> Headline(const Plan& plan) {
  if (!plan.best) return NowhereHeadline(plan);
  const Candidate& best = *plan.Best();
  std::vector<std::string> lines;
  const std::string label = Label(best, plan.search.variants);
  if (plan.Answered()) {
    lines.push_back(fmt::format("{} ({}): {}.", label, DeploymentText(best.deployment), MonthText(best)));
  } else {
    lines.push_back(fmt::format("Nothing keeps every target and limit; nearest is {} ({}): {}.", label,
                                DeploymentText(best.deployment), MonthText(best)));
    for (const std::string& miss : best.misses) lines.push_back(Sentence("missed: " + miss));
  }
  lines.push_back(fmt::format("Expected TPOT {}, TTFT {}. The band: {}.", BandText(best.serving.tpot_s, best.band),
                              BandText(best.serving.ttft_s, best.ttft_band), best.band.basis));
  if (const std::string line = DefaultLaunchLine(plan); !line.empty()) lines.push_back(line);
  lines.push_back(fmt::format("{} binds: {} output tokens/s at {} running requests, {} of them in decode, S-MBU {}, S-MFU {}.",
                              planner::Name(best.serving.bound), NumberText(best.serving.output_tokens_per_s),
                              NumberText(best.serving.running), NumberText(best.serving.decoding),
                              ShareText(best.serving.s_mbu), ShareText(best.serving.s_mfu)));
  lines.back() = Sentence(lines.back());
  if (best.usd_per_million_output) {
    lines.push_back(fmt::format("1M tokens cost USD {} in and USD {} out at the usual utilisation.",
                                NumberText(best.usd_per_million_input), NumberText(best.usd_per_million_output)));
  }
  if (const Candidate* measured = BestMeasured(plan); measured && measured != plan.Best()) {
    lines.push_back(fmt::format("Of devices whose predictions rest on measurements the best is {} at {}, TPOT {}.",
                                Label(*measured, plan.search.variants), MonthText(*measured),
                                BandText(measured->serving.tpot_s, measured->band)));
  }
  if (plan.runner_up) {
    const Candidate& other = plan.search.candidates[*plan.runner_up];
    const bool near = best.money.usd_per_h && other.money.usd_per_h && other.Answers() &&
                      *other.money.usd_per_h < kNearCost * *best.money.usd_per_h;
    lines.push_back(fmt::format("Runner-up: {} at {}, TPOT {}{}.", Label(other, plan.search.variants), MonthText(other),
                                BandText(other.serving.tpot_s, other.band),
                                near ? ", too near to tell them apart by prediction: measure both" : ""));
  }
  return lines;
}

// For room in memory, or without end: the time to a first token says nothing then.
bool Waits(const planner::Serving& serving) {
  return serving.bound == planner::Bound::kCapacity || !std::isfinite(serving.ttft_s);
}

Table WaysTable(const Plan& plan) {
  Table table{.name = "ways", .title = plan.Answered() ? "Ways that keep the targets first" : "Nearest ways first"};
  table.columns = {{.header = "devices", .kind = ColumnKind::kKey},
                   {.header = "system", .kind = ColumnKind::kWord},
                   {.header = "weights", .kind = ColumnKind::kWord},
                   {.header = "layout", .kind = ColumnKind::kWord},
                   {.header = "class", .group = "CAP", .kind = ColumnKind::kWord},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "from", .group = "its band", .unit = "ms"},
                   {.header = "to", .group = "its band", .unit = "ms"},
                   {.header = "TTFT", .unit = "ms"},
                   {.header = "output", .unit = "tokens/s"},
                   {.header = "a month", .unit = "USD"},
                   {.header = "in", .group = "1M tokens", .unit = "USD"},
                   {.header = "out", .group = "1M tokens", .unit = "USD"},
                   {.header = "power", .unit = "W"},
                   {.header = "binds", .kind = ColumnKind::kWord}};
  std::set<std::string> seen;
  for (const Candidate& c : plan.search.candidates) {
    const std::string devices = fmt::format("{} x {}", c.count, c.device->name);
    if (table.rows.size() == kShown) break;
    if (!seen.insert(devices).second) continue;
    const planner::Variant& variant = plan.search.variants[c.variant];
    const auto month = c.money.usd_per_h ? std::optional(c.UsdPerMonth()) : std::nullopt;
    Row row{{devices, c.system,
             variant.Precision() + (c.Offloaded() ? fmt::format(", {}", planner::Name(c.offload.residence)) : ""),
             DeploymentText(c.deployment), std::string(planner::CapClass(c.Offloaded(), variant.original)),
             Estimate(NumberText(c.serving.tpot_s, kMilli)), NumberText(c.serving.tpot_s * c.band.low, kMilli),
             NumberText(c.serving.tpot_s * c.band.high, kMilli),
             Estimate(Waits(c.serving) ? "" : NumberText(c.serving.ttft_s, kMilli)),
             Estimate(NumberText(c.serving.output_tokens_per_s)), NumberText(month), NumberText(c.usd_per_million_input),
             NumberText(c.usd_per_million_output), NumberText(c.money.watts), std::string(planner::Name(c.serving.bound))}};
    if (!c.Answers()) row.cells.front() = WithNote(std::move(row.cells.front()), JoinWords(c.misses));
    table.rows.push_back(std::move(row));
  }
  DropEmptyColumns(table);
  return table;
}

Table StepTable(const Candidate& best) {
  const planner::StepTime& step = best.serving.step;
  const double untuned_s = best.serving.untuned_s * (1 - best.serving.prefill_share);  // of the step alone
  Table table{.name = "step", .title = "A decode step of the best way"};
  table.columns = {
      {.header = "part", .kind = ColumnKind::kKey}, {.header = "time", .unit = "ms"}, {.header = "share", .unit = "%"}};
  const std::pair<const char*, double> parts[] = {{"routed experts", step.experts_s}, {"experts in host memory", step.host_s},
                                                  {"other weights", step.weights_s},  {"KV cache", step.kv_s},
                                                  {"links", step.collectives_s},      {"kernel latency", step.latency_s},
                                                  {"per request", step.sequences_s},  {"not tuned", untuned_s}};
  const double all_s = step.Total() + untuned_s;
  for (const auto& [name, seconds] : parts) {
    if (seconds > 0)
      table.rows.push_back({name, Estimate(NumberText(seconds, kMilli)), Estimate(NumberText(seconds / all_s, kPercent))});
  }
  return table;
}

KeyValues MemoryFacts(const Plan& plan) {
  const Candidate& best = *plan.Best();
  return {
      "Memory of the fullest device",
      {{"weights", BytesText(best.memory.weights_bytes)},
       {"activations, workspace", BytesText(best.memory.other_bytes)},
       {"KV of a request", BytesText(best.memory.sequence_bytes)},
       {"may be used", BytesText(best.usable_bytes)},
       {"requests that fit", NumberText(best.room * best.deployment.data)},
       {"of them may run", std::isfinite(best.running_limit) ? NumberText(best.serving.most_running) : ""},
       {"experts in a step",
        best.serving.step.distinct_experts > 0 ? "~" + NumberText(best.serving.step.distinct_experts) : ""},
       {"nearly all experts from", plan.dense_from ? fmt::format("{} tokens in a step", *plan.dense_from) : ""},
       {"experts on devices", best.Offloaded() ? ShareText(best.offload.device_share, 0) : ""},
       {"host", best.processor},
       {"host memory", best.host_dram_bytes > 0 ? BytesText(best.host_dram_bytes) : ""},
       {"buy above utilisation", best.money.break_even_utilisation ? ShareText(best.money.break_even_utilisation, 0) : ""}}};
}

Table ChangesTable(const Plan& plan) {
  Table table{.name = "changes", .title = "What would change the answer"};
  table.columns = {{.header = "with", .kind = ColumnKind::kKey},
                   {.header = "the best is", .kind = ColumnKind::kText},
                   {.header = "a month", .unit = "USD"},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "from", .group = "its band", .unit = "ms"},
                   {.header = "to", .group = "its band", .unit = "ms"}};
  for (const planner::Change& change : plan.changes) {
    table.rows.push_back({change.what,
                          change.best.empty() ? "nothing keeps the targets" : (change.same ? "" : "→ ") + change.best,
                          NumberText(change.usd_per_month), Estimate(NumberText(change.tpot_s, kMilli)),
                          change.tpot_s ? NumberText(*change.tpot_s * change.band.low, kMilli) : "",
                          change.tpot_s ? NumberText(*change.tpot_s * change.band.high, kMilli) : ""});
  }
  table.notes.emplace_back("→ other devices than those of the answer");
  return table;
}

Table CurveTable(const Plan& plan) {
  Table table{.name = "load", .title = "The best way at other loads"};
  table.columns = {{.header = plan.question.load.clients ? "clients" : "requests/s", .kind = ColumnKind::kKey},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "TTFT", .unit = "ms"},
                   {.header = "output", .unit = "tokens/s"},
                   {.header = "1M tokens", .unit = "USD"},
                   {.header = "targets", .kind = ColumnKind::kWord}};
  for (const planner::LoadPoint& at : plan.curve) {
    const double amount = at.load.clients.value_or(at.load.requests_per_s.value_or(0));
    table.rows.push_back({NumberText(amount), Estimate(NumberText(at.serving.tpot_s, kMilli)),
                          Estimate(NumberText(at.serving.ttft_s, kMilli)), Estimate(NumberText(at.serving.output_tokens_per_s)),
                          NumberText(at.usd_per_million_tokens), at.keeps ? "kept" : "missed"});
  }
  const planner::ErrorBand& band = plan.Best()->band;
  table.notes.push_back(fmt::format("Times are {:.3g} to {:.3g} times as long: {}.", band.low, band.high, band.basis));
  table.notes.emplace_back("The price is the whole bill of an hour, idle time included, on all tokens of that hour.");
  return table;
}

Figure CurveFigure(const Plan& plan) {
  LinePlot plot;
  plot.frame = {"plan-load", "TPOT as the load grows", "ms per output token",
                "Predicted time per output token of the best way."};
  plot.x_label = plan.question.load.clients ? "clients" : "requests/s";
  PlotSeries series{.system = 0, .name = "best", .points = {}};
  for (const planner::LoadPoint& at : plan.curve) {
    const Candidate& best = *plan.Best();
    const double ms = at.serving.tpot_s / kMilli;
    series.points.push_back({.x = at.load.clients.value_or(at.load.requests_per_s.value_or(1)),
                             .y = ms,
                             .low = ms * best.band.low,
                             .high = ms * best.band.high,
                             .valid = at.keeps});
  }
  plot.series.push_back(std::move(series));
  if (const auto& target = plan.question.targets.tpot_s) plot.references.push_back({*target / kMilli, "target"});
  return {plot, "Whiskers are the error band; hollow points miss a target or limit."};
}

Figure ParetoFigure(const Plan& plan) {
  ParetoPlot plot;
  plot.frame = {"plan-pareto", "Speed against the price of a token", "tokens/s of a user against USD per 1M tokens",
                "Every way that fits, its predicted speed for a user and the price of its tokens."};
  plot.x = {"USD per 1M tokens", true, false, 1};
  plot.y = {"tokens/s of a user", true, true, 1};
  std::set<std::string> seen;
  for (const Candidate& c : plan.search.candidates) {
    if (!c.usd_per_million_tokens || plot.marks.size() == 2 * kShown) continue;
    const std::string name = fmt::format("{} x {}", c.count, c.device->name);
    if (!seen.insert(name).second) continue;
    plot.marks.push_back({.system = c.Answers() ? size_t{0} : size_t{1},
                          .name = name,
                          .x = *c.usd_per_million_tokens,
                          .y = 1 / c.serving.tpot_s});
  }
  for (ParetoMark& mark : plot.marks) {
    mark.on_front = std::none_of(plot.marks.begin(), plot.marks.end(),
                                 [&](const ParetoMark& other) { return other.x < mark.x && other.y > mark.y; });
  }
  return {plot, "Filled marks are dominated by no other way; the first colour keeps every target."};
}

Notes WhyNotNotes(const Plan& plan) {
  Notes notes{.title = "Why not", .items = {}};
  for (const planner::WhyNot& why : plan.why_not) notes.items.push_back(fmt::format("{}: {}", why.device, why.reason));
  return notes;
}

}  // namespace

Document PlanDocument(const Plan& plan, const std::string& start_command) {
  Document document;
  document.kind = "plan";
  document.title = plan.model;
  document.about.items = {{"load", LoadText(plan.question.load)},
                          {"targets", TargetsText(plan.question)},
                          {"limits", LimitsText(plan.question)},
                          {"launch", LaunchText(plan)},
                          {"running requests", RunningLimitText(plan)},
                          {"chosen by", std::string(planner::Name(plan.question.objective))},
                          {"ways computed", std::to_string(plan.search.points)}};
  document.headline = Headline(plan);
  document.headline.resize(std::min(document.headline.size(), kMostHeadlines));
  Section ways{.heading = "Ways to serve it", .detail = Detail::kFirstScreen, .blocks = {WaysTable(plan)}};
  if (!plan.why_not.empty()) ways.blocks.emplace_back(WhyNotNotes(plan));
  if (!start_command.empty()) ways.blocks.emplace_back(Code{"Starts one replica", start_command, "sh"});
  document.sections.push_back(std::move(ways));
  if (plan.best) {
    document.sections.push_back(
        {.heading = "Why", .detail = Detail::kFirstScreen, .blocks = {StepTable(*plan.Best()), MemoryFacts(plan)}});
    document.sections.push_back(
        {.heading = "Sensitivity", .detail = Detail::kFirstScreen, .blocks = {CurveTable(plan), ChangesTable(plan)}});
    document.sections.push_back(
        {.heading = "Speed and price", .detail = Detail::kFolded, .blocks = {ParetoFigure(plan), CurveFigure(plan)}});
    document.sections.push_back(
        {.heading = "Cost, accuracy, performance", .detail = Detail::kFolded, .blocks = {ClassTable(plan), NeedFigure(plan)}});
  }
  if (!plan.notes.empty()) {
    document.sections.push_back({.heading = "Notes", .detail = Detail::kFirstScreen, .blocks = {Notes{"", plan.notes}}});
  }
  return document;
}

Document ModelsDocument(std::span<const Plan> plans, const planner::Question& question) {
  Document document;
  document.kind = "plan";
  document.title = "models";
  document.about.items = {
      {"load", LoadText(question.load)}, {"targets", TargetsText(question)}, {"limits", LimitsText(question)}};
  Table table{.name = "models", .title = "Models that keep the targets first, the largest first"};
  table.columns = {{.header = "model", .kind = ColumnKind::kKey},
                   {.header = "parameters", .kind = ColumnKind::kWord},
                   {.header = "devices", .kind = ColumnKind::kWord},
                   {.header = "system", .kind = ColumnKind::kWord},
                   {.header = "weights", .kind = ColumnKind::kWord},
                   {.header = "experts on devices", .unit = "%"},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "from", .group = "its band", .unit = "ms"},
                   {.header = "to", .group = "its band", .unit = "ms"},
                   {.header = "speed", .unit = "tokens/s"},
                   {.header = "TTFT", .unit = "ms"},
                   {.header = "targets", .kind = ColumnKind::kWord}};
  std::vector<const Plan*> order;
  for (const Plan& plan : plans) order.push_back(&plan);
  const auto params = [](const Plan* plan) { return plan->search.variants.front().spec.TotalParams(); };
  std::stable_sort(order.begin(), order.end(), [&](const Plan* a, const Plan* b) {
    if (a->Answered() != b->Answered()) return a->Answered();
    return params(a) > params(b);
  });
  int64_t kept = 0;
  for (const Plan* plan : order) {
    const Candidate* const best = plan->Best();
    if (!best) continue;
    kept += plan->Answered();
    table.rows.push_back(
        {plan->model, FormatParams(params(plan)), fmt::format("{} x {}", best->count, best->device->name), best->system,
         plan->search.variants[best->variant].Precision(), NumberText(best->offload.device_share, kPercent),
         Estimate(NumberText(best->serving.tpot_s, kMilli)), NumberText(best->serving.tpot_s * best->band.low, kMilli),
         NumberText(best->serving.tpot_s * best->band.high, kMilli), Estimate(NumberText(1 / best->serving.tpot_s)),
         Estimate(NumberText(best->serving.ttft_s, kMilli)), plan->Answered() ? "kept" : "missed"});
  }
  const auto refused =
      std::count_if(plans.begin(), plans.end(), [](const Plan& plan) { return !plan.best && !plan.search.refusals.empty(); });
  const auto outside = static_cast<int64_t>(plans.size() - table.rows.size()) - refused;
  document.headline.push_back(fmt::format("{} of {} models keep the targets{}{}.", kept, plans.size(),
                                          outside > 0 ? fmt::format("; {} fit nowhere", outside) : "",
                                          refused > 0 ? fmt::format("; {} fit, but no system there takes them", refused) : ""));
  for (const Plan* plan : order) {
    if (plan->Answered()) {
      document.headline.push_back(
          Sentence(fmt::format("the band of these predictions: {} to {} times ({})", NumberText(plan->Best()->band.low),
                               NumberText(plan->Best()->band.high), plan->Best()->band.basis)));
      break;
    }
  }
  document.sections.push_back({.heading = "Models", .detail = Detail::kFirstScreen, .blocks = {table}});
  return document;
}

}  // namespace moecap::report
