#include "report/plan_classes.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "planner/suffice.h"
#include "report/format.h"
#include "report/suffice_document.h"

namespace moecap::report {
namespace {

using planner::Candidate;

struct CapRow {
  const char *name, *keeps, *gives_up, *published;
};
// arXiv 2412.07067, Table 7, by what its rows name (examples/paper/decision_matrix.yaml).
constexpr CapRow kClasses[] = {
    {"PA", "performance, accuracy", "cost", "SGLang or vLLM, original weights on devices (rows 1, 6)"},
    {"PC", "performance, cost", "accuracy", "SGLang or vLLM in 8 bits (row 5); KTransformers, quantised, offloaded (row 2)"},
    {"CA", "cost, accuracy", "performance", "MoE-Infinity, original weights, experts offloaded (rows 3, 4)"}};

}  // namespace

Table ClassTable(const planner::Plan& plan) {
  Table table{.name = "classes", .title = "The best way of each class, beside the paper's decision matrix (Table 7)"};
  table.columns = {{.header = "class", .kind = ColumnKind::kKey},
                   {.header = "keeps", .kind = ColumnKind::kWord},
                   {.header = "gives up", .kind = ColumnKind::kWord},
                   {.header = "the paper names", .kind = ColumnKind::kWord},
                   {.header = "best here", .kind = ColumnKind::kWord},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "a month", .unit = "USD"},
                   {.header = "targets", .kind = ColumnKind::kWord}};
  const std::vector<Candidate>& all = plan.search.candidates;  // the best first
  for (const CapRow& row : kClasses) {
    const auto best = std::find_if(all.begin(), all.end(), [&](const Candidate& c) {
      return planner::CapClass(c.Offloaded(), plan.search.variants[c.variant].original) == row.name;
    });
    if (best == all.end()) {
      table.rows.push_back({row.name, row.keeps, row.gives_up, row.published, "none was computed", "", "", ""});
      continue;
    }
    table.rows.push_back({row.name, row.keeps, row.gives_up, row.published, planner::Label(*best, plan.search.variants),
                          Estimate(NumberText(best->serving.tpot_s, kMilli)),
                          best->money.usd_per_h ? NumberText(best->UsdPerMonth()) : "", best->Answers() ? "kept" : "missed"});
  }
  return table;
}

Figure NeedFigure(const planner::Plan& plan) {
  const Candidate& best = *plan.Best();
  const double tpot_s = plan.question.targets.tpot_s.value_or(best.serving.tpot_s);
  std::vector<int64_t> batches = {1};
  if (const auto running = static_cast<int64_t>(std::round(best.serving.running)); running > 1) batches.push_back(running);
  const auto context = static_cast<int64_t>(plan.question.load.MeanContext());
  const auto needs = planner::NeedsOf(plan.search.variants[best.variant].spec, batches, context, tpot_s);
  std::vector<const hardware::Device*> devices;
  for (const hardware::Device& device : plan.search.devices) devices.push_back(&device);
  return DeviceMap(plan.model, tpot_s, needs, devices, best.device->id);
}

}  // namespace moecap::report
