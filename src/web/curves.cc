#include "web/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>

#include "report/render.h"

namespace moecap::web {
namespace {

using report::Figure;
using report::ParetoMark;
using store::CellListing;

constexpr size_t kMostMarks = 40;  // of a picture that can still be read
constexpr size_t kMostCurves = 6;  // as many as there are colours

constexpr const char* kAccuracy = "accuracy";
constexpr const char* kCost = "usd_per_million_tokens";
constexpr const char* kRate = "output_tokens_per_s";
constexpr const char* kTpot = "tpot_mean_s";

std::optional<double> ValueOf(const CellListing& listing, std::string_view key) {
  for (const store::StoredFigure& figure : listing.cell.figures) {
    if (figure.key == key && std::isfinite(figure.value) && std::abs(figure.value) < 1e15) return figure.value;
  }
  return std::nullopt;
}

using SystemKey = std::pair<std::string, std::string>;  // run, system
SystemKey KeyOf(const CellListing& listing) { return {listing.run.run_id, listing.system.name}; }

struct Quantity {
  const char *key, *name, *label;
  bool logarithmic, higher_is_better;
  double unit;

  std::string AxisLabel() const { return std::string(label) + (logarithmic ? " (log scale)" : ""); }
};
constexpr Quantity kCostAxis{kCost, "cost", "cost, USD per 1M tokens", true, false, 1};
constexpr Quantity kAccuracyAxis{kAccuracy, "accuracy", "accuracy, %", false, true, 0.01};
constexpr Quantity kRateAxis{kRate, "throughput", "output tokens/s", true, true, 1};
constexpr Quantity kTpotAxis{kTpot, "TPOT", "TPOT, ms", true, false, 1e-3};

std::string Capital(std::string text) {
  text[0] = text[0] >= 'a' && text[0] <= 'z' ? static_cast<char>(text[0] - 'a' + 'A') : text[0];
  return text;
}

// Whether a mark is better in one and not worse in the other.
bool Beats(const ParetoMark& a, const ParetoMark& b, const Quantity& x, const Quantity& y) {
  const double dx = x.higher_is_better ? a.x - b.x : b.x - a.x;
  const double dy = y.higher_is_better ? a.y - b.y : b.y - a.y;
  return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0);
}

std::optional<Figure> Pareto(std::span<const CellListing> cells, std::span<const std::string> names,
                             const std::map<SystemKey, size_t>& markers, const Quantity& x, const Quantity& y) {
  report::ParetoPlot plot;
  plot.frame = {fmt::format("pareto-{}-{}", x.key, y.key), fmt::format("{} against {}", Capital(y.name), x.name),
                "filled: no valid cell shown is better in both", ""};
  plot.x = {x.AxisLabel(), x.logarithmic, x.higher_is_better, x.unit};
  plot.y = {y.AxisLabel(), y.logarithmic, y.higher_is_better, y.unit};
  for (size_t i = 0; i < cells.size() && plot.marks.size() < kMostMarks; ++i) {
    const auto across = ValueOf(cells[i], x.key);
    const auto up = ValueOf(cells[i], y.key);
    if (!across || !up || (x.logarithmic && !(*across > 0)) || (y.logarithmic && !(*up > 0))) continue;
    ParetoMark mark;
    mark.system = markers.at(KeyOf(cells[i]));
    mark.name = names[i];
    mark.x = *across;
    mark.y = *up;
    mark.valid = cells[i].cell.valid;
    plot.marks.push_back(std::move(mark));
  }
  if (plot.marks.size() < 2) return std::nullopt;
  for (ParetoMark& mark : plot.marks) {
    mark.on_front = mark.valid && std::ranges::none_of(plot.marks, [&](const ParetoMark& other) {
                      return other.valid && Beats(other, mark, x, y);
                    });
  }
  plot.frame.description = fmt::format("{} cells.", plot.marks.size());
  return Figure{std::move(plot), "", report::PlotWidth::kHalf};
}

std::vector<std::string> WordsOf(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '-') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

// What tells the names apart: each without the words between "-" with which all of them begin and end. Requires names that
// differ.
std::vector<std::string> Differences(const std::vector<std::string>& names) {
  std::vector<std::vector<std::string>> all;
  size_t shortest = SIZE_MAX;
  for (const std::string& name : names) shortest = std::min(shortest, all.emplace_back(WordsOf(name)).size());
  const auto alike = [&](const auto& word_of) {
    return std::ranges::all_of(all, [&](const auto& words) { return word_of(words) == word_of(all.front()); });
  };
  size_t front = 0, back = 0;
  while (front + 1 < shortest && alike([&](const auto& words) { return words[front]; })) ++front;
  while (front + back + 1 < shortest && alike([&](const auto& words) { return words[words.size() - 1 - back]; })) ++back;
  std::vector<std::string> differences;
  for (const auto& words : all) {
    std::string& text = differences.emplace_back();
    for (size_t i = front; i + back < words.size(); ++i) text += (text.empty() ? "" : "-") + words[i];
  }
  const std::set<std::string> distinct(differences.begin(), differences.end());
  return distinct.size() == names.size() ? differences : names;
}

// How each system of each run is called.
std::map<SystemKey, std::string> SystemNames(std::span<const CellListing> cells) {
  std::map<std::string, std::set<std::string>> runs;  // of a system's name
  for (const CellListing& listing : cells) runs[listing.system.name].insert(listing.run.run_id);
  std::map<SystemKey, std::string> names;
  for (const auto& [system, ids] : runs) {
    std::vector<std::string> shorts;
    for (const std::string& id : ids) shorts.push_back(ShortName(id));
    // Runs that were made twice are told apart by their times.
    if (std::set(shorts.begin(), shorts.end()).size() < shorts.size()) shorts.assign(ids.begin(), ids.end());
    const std::vector<std::string> differences = ids.size() > 1 ? Differences(shorts) : std::vector<std::string>{""};
    size_t i = 0;
    for (const std::string& id : ids) {
      const std::string& difference = differences[i++];
      names[{id, system}] = difference.empty() ? system : difference + " " + system;
    }
  }
  return names;
}

std::string LevelAxis(const std::string& kind) {
  if (kind == "rates_per_s") return "requests/s offered (log scale)";
  return kind + " (log scale)";
}

// Cells that are of one kind of level, by system; a level once, so the cells of a table need no order.
std::optional<Figure> Curves(std::span<const CellListing> cells, const std::map<SystemKey, size_t>& markers, const Quantity& y,
                             const std::string& title) {
  const std::map<SystemKey, std::string> names = SystemNames(cells);
  std::map<SystemKey, std::map<double, const CellListing*>> systems;
  const std::string kind = cells.empty() ? "" : cells.front().cell.level_kind;
  for (const CellListing& listing : cells) {
    if (listing.cell.level_kind == kind && kind != "replay" && listing.cell.level > 0 && ValueOf(listing, y.key))
      systems[KeyOf(listing)].emplace(listing.cell.level, &listing);
  }
  report::LinePlot plot;
  plot.frame = {fmt::format("{}-by-level", y.key), title, y.label, title + " against the load."};
  plot.x_label = LevelAxis(kind);
  for (const auto& [key, levels] : systems) {
    if (levels.size() < 2 || plot.series.size() == kMostCurves) continue;
    report::PlotSeries series{markers.at(key), names.at(key), {}, false, key.first + ", " + key.second};
    for (const auto& [level, listing] : levels)
      series.points.push_back({.x = level, .y = *ValueOf(*listing, y.key) / y.unit, .valid = listing->cell.valid});
    plot.series.push_back(std::move(series));
  }
  if (plot.series.empty()) return std::nullopt;
  return Figure{std::move(plot), "", report::PlotWidth::kHalf};
}

}  // namespace

std::vector<std::string> CurveFigures() { return {kAccuracy, kCost, kRate, kTpot}; }

std::string ShortName(const std::string& run_id) {
  constexpr std::string_view kStamp = "00000000-000000-";
  bool stamped = run_id.size() > kStamp.size();
  for (size_t i = 0; stamped && i < kStamp.size(); ++i)
    stamped = kStamp[i] == '0' ? run_id[i] >= '0' && run_id[i] <= '9' : run_id[i] == kStamp[i];
  return stamped ? run_id.substr(kStamp.size()) : run_id;
}

std::vector<std::string> CellNames(std::span<const CellListing> cells) {
  const std::map<SystemKey, std::string> systems = SystemNames(cells);
  std::vector<std::string> names;
  for (const CellListing& listing : cells)
    names.push_back(fmt::format("{}@{:g}", systems.at(KeyOf(listing)), listing.cell.level));
  return names;
}

std::vector<Figure> CellFigures(std::span<const CellListing> cells) {
  std::map<SystemKey, size_t> markers;
  for (const CellListing& listing : cells) markers.emplace(KeyOf(listing), markers.size());
  const std::vector<std::string> names = CellNames(cells);
  std::vector<Figure> figures;
  const auto add = [&](std::optional<Figure> figure) {
    if (figure) figures.push_back(*std::move(figure));
  };
  add(Pareto(cells, names, markers, kTpotAxis, kRateAxis));
  add(Pareto(cells, names, markers, kCostAxis, kRateAxis));
  add(Pareto(cells, names, markers, kCostAxis, kAccuracyAxis));
  add(Curves(cells, markers, kRateAxis, "Output throughput by load"));
  add(Curves(cells, markers, kTpotAxis, "TPOT by load"));
  return figures;
}

std::string FiguresHtml(std::vector<Figure> figures, const std::string& heading) {
  if (figures.empty()) return "";
  report::Section section{.heading = heading};
  for (Figure& figure : figures) section.blocks.push_back(std::move(figure));
  return report::RenderHtmlSection(section);
}

}  // namespace moecap::web
