#include "web/plan_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "planner/question_file.h"
#include "report/plan_document.h"
#include "report/plan_json.h"
#include "report/render.h"
#include "web/page.h"

namespace moecap::web {
namespace {

// What ships with the program, read once.
struct Catalogues {
  hardware::Catalogue devices;
  cost::PriceBook prices;
  planner::Multipliers multipliers;
  planner::SystemSupport systems;
  model::ModelCatalogue models;
};

Result<Catalogues> ReadCatalogues() {
  ASSIGN_OR_RETURN(hardware::Catalogue devices, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  ASSIGN_OR_RETURN(planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(planner::SystemSupport systems, planner::SystemSupport::Builtin());
  ASSIGN_OR_RETURN(model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  return Catalogues{std::move(devices), std::move(prices), std::move(multipliers), std::move(systems), std::move(models)};
}

const Result<Catalogues>& Builtin() {
  static const Result<Catalogues> catalogues = ReadCatalogues();
  return catalogues;
}

constexpr const char* kUsualModel = "Qwen/Qwen3-235B-A22B";

struct Slider {
  const char *key, *label, *unit;
  double low, high;
  double planner::Preset::*preset;  // null: no number unless it is given
  const char* hint;
  const char* none = "";  // said where there is no number
};
constexpr Slider kSliders[] = {
    {"clients", "Clients", "", 1, 4096, &planner::Preset::clients, "requests in flight"},
    {"input_tokens", "Prompt", "tokens", 16, 131072, &planner::Preset::input_tokens, "mean of a request"},
    {"output_tokens", "Answer", "tokens", 1, 32768, &planner::Preset::output_tokens, "mean of a request"},
    {"prefix_hit", "Prefix hits", "share", 0, 0.99, &planner::Preset::prefix_hit, "of the prompt, from the cache"},
    {"tpot", "TPOT", "s", 0.005, 1, nullptr, "target", "the scenario's"},
    {"ttft", "TTFT", "s", 0.05, 60, nullptr, "target", "the scenario's"},
    {"usd_per_month", "Month", "USD", 100, 1e6, nullptr, "limit", "none"},
    {"budget_usd", "Purchase", "USD", 500, 1e7, nullptr, "limit", "none"},
    {"power_w", "Power", "W", 50, 200000, nullptr, "limit, at the wall", "none"},
    {"max_running", "Running at once", "", 1, 1e6, nullptr, "of the launch, a replica", "what memory holds"},
    {"most_devices", "Devices", "", 1, 64, nullptr, "limit", "none"}};

planner::Preset PresetOf(const Query& query) {
  const auto preset = planner::FindPreset(query.Get("scenario").empty() ? "chat" : query.Get("scenario"));
  return preset.ok() ? *preset : planner::Presets().front();
}

std::string SliderHtml(const Slider& slider, const Query& query) {
  const planner::Preset preset = PresetOf(query);
  const std::string usual = slider.preset == nullptr ? slider.none : fmt::format("{:g}", preset.*slider.preset);
  return fmt::format(
      "<label class=\"slide\" data-low=\"{}\" data-high=\"{}\"><span>{}{}</span><input name=\"{}\" value=\"{}\" "
      "placeholder=\"{}\" inputmode=\"decimal\" autocomplete=\"off\"><small>{}</small></label>\n",
      slider.low, slider.high, slider.label, slider.unit[0] == '\0' ? "" : fmt::format(", {}", slider.unit), slider.key,
      Escape(query.Get(slider.key)), usual, slider.hint);
}

std::vector<Choice> Plain(std::initializer_list<const char*> values, const char* usual) {
  std::vector<Choice> choices = {{"", usual}};
  for (const char* value : values) choices.push_back({value, value});
  return choices;
}

std::string ModelField(const Query& query) {
  std::string out = fmt::format(
      "<label class=\"span\"><span>Model</span><input name=\"model\" list=\"models\" value=\"{}\" autocomplete=\"off\" "
      "spellcheck=\"false\"><datalist id=\"models\">",
      Escape(query.Get("model").empty() ? kUsualModel : query.Get("model")));
  if (Builtin().ok()) {
    for (const model::CatalogueModel& entry : Builtin()->models.models())
      out += fmt::format("<option value=\"{}\"></option>", Escape(entry.id));
  }
  return out + "</datalist></label>\n";
}

std::string PlanForm(const Query& query) {
  std::vector<Choice> scenarios;
  for (const planner::Preset& preset : planner::Presets())
    scenarios.push_back({std::string(preset.name), fmt::format("{}: {}", preset.name, preset.meaning)});
  const auto select = [&](const char* name, const char* label, const std::vector<Choice>& choices) {
    return fmt::format("<label><span>{}</span><select name=\"{}\">{}</select></label>\n", label, name,
                       Options(choices, query.Get(name)));
  };
  const auto field = [&](const char* name, const char* label, const char* example) {
    return fmt::format(
        "<label><span>{}</span><input name=\"{}\" value=\"{}\" placeholder=\"{}\" autocomplete=\"off\"></label>\n", label, name,
        Escape(query.Get(name)), example);
  };
  std::string out = "<form class=\"plan\" id=\"plan\" action=\"/plan\" aria-label=\"Question\">\n" + ModelField(query);
  out += "<label class=\"span\"><span>Scenario</span><select name=\"scenario\">" +
         Options(scenarios, query.Get("scenario").empty() ? "chat" : query.Get("scenario")) + "</select></label>\n";
  for (const Slider& slider : kSliders) out += SliderHtml(slider, query);
  out += select("objective", "Best by", Plain({"month", "token", "speed", "power"}, "the month's cost"));
  out += select("fidelity", "Weights", Plain({"original", "near", "any"}, "8 bits or more"));
  out += select("launch", "Launch", Plain({"tuned", "default"}, "not known"));
  out += select("pay", "Paid", Plain({"buy", "rent"}, "rented where known"));
  out += select("device_classes", "Devices of class",
                Plain({"datacenter", "workstation", "consumer", "unified", "edge", "cpu"}, "any"));
  out += field("devices", "These devices only", "h100-sxm") + field("own", "Already there", "2xrtx-4090") +
         field("why_not", "Why not", "rtx-5090");
  out += fmt::format(
      "<label class=\"tick\"><input type=\"checkbox\" name=\"changes\" value=\"1\"{}> what would change the "
      "answer</label>\n<button>Plan</button></form>\n",
      query.Has("changes") ? " checked" : "");
  return out;
}

}  // namespace

Result<planner::Plan> PlanOf(const Query& query, bool changes) {
  if (!Builtin().ok()) return Builtin().error();
  const Catalogues& known = *Builtin();
  planner::QuestionText text;
  for (const planner::QuestionKey& key : planner::QuestionKeys()) {
    const std::string value = query.Get(key.name);
    if (!value.empty()) text.Set(std::string(key.name), value);
  }
  const std::string name = query.Get("model").empty() ? kUsualModel : query.Get("model");
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, known.models.Find(name));
  ASSIGN_OR_RETURN(const model::ModelSpec spec, model::SpecOf(entry, entry.id));
  ASSIGN_OR_RETURN(const planner::Question question, planner::MakeQuestion(text));
  return planner::MakePlan(question, spec, {known.devices, known.prices, known.multipliers, known.systems},
                           {.changes = changes});
}

Response PlanPage(const Query& query, const LaunchLine& launch, bool writable) {
  const PageFrame frame{"Plan", "/plan", writable};
  const auto plan = PlanOf(query, query.Has("changes"));
  std::string answer;
  if (plan.ok()) {
    answer = report::RenderHtmlBody(report::PlanDocument(*plan, launch(*plan)));
  } else {
    answer = "<main><p class=\"alarm\" role=\"alert\">" + Escape(plan.error().message) + "</p></main>\n";
  }
  Response response =
      Page(frame, "<div class=\"planner\" id=\"main\"><div class=\"ask\"><h2>What is to be served?</h2>\n" + PlanForm(query) +
                      "</div>\n<div id=\"answer\" aria-live=\"polite\">" + answer + "</div></div>\n");
  if (!plan.ok()) response.status = 400;
  return response;
}

Response PlanJson(const Query& query, const LaunchLine& launch) {
  const auto plan = PlanOf(query, query.Has("changes"));
  if (!plan.ok()) return JsonError(plan.error(), 400);
  return {200, kJsonType, DumpJsonPretty(report::PlanToJson(*plan, launch(*plan))), {}};
}

}  // namespace moecap::web
