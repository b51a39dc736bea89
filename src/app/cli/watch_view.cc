#include "app/cli/watch_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "app/cli/output.h"
#include "base/json.h"
#include "base/table.h"
#include "base/units.h"
#include "base/wall_clock.h"

namespace moecap::app {
namespace {

std::string Figure(const std::optional<double>& value, int digits = 1) { return value ? FormatFixed(*value, digits) : "-"; }

std::string Percent(const std::optional<double>& share) { return share ? FormatFixed(100 * *share, 1) + " %" : "-"; }

// The band only where there is one.
std::string Banded(const std::optional<live::Banded>& figure, double factor, const char* unit) {
  if (!figure) return "-";
  std::string text = FormatFixed(factor * figure->value, 1) + unit;
  if (figure->high > figure->low)
    text += fmt::format(" ({}-{})", FormatFixed(factor * figure->low, 1), FormatFixed(factor * figure->high, 1));
  return text;
}

std::string ExpertsText(const live::Reading& reading) {
  if (!reading.distinct_experts) return "-";
  return fmt::format("{} of {}, {}", Banded(reading.distinct_experts, 1, ""), reading.experts, Name(reading.expert_source));
}

std::string SampleText(const live::Reading& reading) {
  return fmt::format("{} answers, {} tokens; {} of the server's tokens", reading.sampled_answers, reading.sampled_tokens,
                     Percent(reading.probe_tokens_share));
}

// "reading" or "summary" lines, and after those of several servers one more of that kind of all of them, "together".
void PrintJsonLines(const char* kind, const std::string& time, std::span<const live::Reading> readings) {
  const auto print = [&](const char* of, const live::Reading& reading) {
    Json json = {{"kind", kind}, {"of", of}, {"time", time}};
    json.update(ToJson(reading));
    PrintText(DumpJson(json) + "\n");
  };
  for (const live::Reading& reading : readings) print("server", reading);
  if (readings.size() > 1) print("together", live::Together(readings));
}

}  // namespace

std::string WatchLine(const live::Reading& reading) {
  if (reading.duration_s == 0) {
    const auto why = reading.missing.find("all");
    return why == reading.missing.end() ? "" : why->second;
  }
  std::string line = fmt::format("{} tok/s  batch {}  S-MBU {}  S-MFU {}", Figure(reading.tokens_per_s),
                                 Figure(reading.mean_batch), Banded(reading.s_mbu, 100, " %"), Percent(reading.s_mfu));
  if (reading.experts > 0) line += fmt::format("  experts {}", ExpertsText(reading));
  line += fmt::format("  KV {}  run {} wait {}  {} J/tok", Percent(reading.kv_used_share), Figure(reading.running),
                      Figure(reading.waiting), Figure(reading.joules_per_token, 3));
  return line;
}

std::string WatchTable(const live::Reading& reading, size_t width) {
  std::vector<std::pair<std::string, std::string>> rows = {
      {"server", fmt::format("{}, {}", reading.server, reading.model)},
      {"tokens",
       fmt::format("{} /s generated, {} /s of prompts", Figure(reading.tokens_per_s), Figure(reading.prompt_tokens_per_s))},
      {"requests", fmt::format("{} run, {} wait, {} /s finish", Figure(reading.running), Figure(reading.waiting),
                               Figure(reading.requests_per_s, 2))},
      {"passes",
       fmt::format("{} /s ({}), {} sequences each, busy {} ({})", Figure(reading.passes_per_s), Name(reading.pass_origin),
                   Figure(reading.mean_batch), Percent(reading.busy_share), Name(reading.busy_origin))},
      {"S-MBU", Banded(reading.s_mbu, 100, " %")},
      {"S-MFU", Percent(reading.s_mfu)},
      {"bandwidth", reading.bandwidth_bytes_per_s ? FormatBytes(*reading.bandwidth_bytes_per_s) + "/s" : "-"},
      {"KV cache", Percent(reading.kv_used_share)},
      {"energy", fmt::format("{} W, {} J a token", Figure(reading.power_w), Figure(reading.joules_per_token, 3))}};
  if (reading.experts > 0) rows.insert(rows.begin() + 6, {"experts", ExpertsText(reading)});
  if (reading.probes.sent > 0) rows.emplace_back("sample", SampleText(reading));
  for (const auto& [figure, why] : reading.missing) rows.emplace_back("no " + figure, why);
  size_t widest = 0;
  for (const auto& [name, text] : rows) widest = std::max(widest, name.size());
  std::string table;
  for (const auto& [name, text] : rows) AppendLabelled(table, widest + 2, name, text, width);
  return table;
}

namespace {

// A line a server, and one of all.
std::string LinesOf(const std::string& before, std::span<const live::Reading> readings) {
  constexpr std::string_view kTogether = "together";
  size_t widest = kTogether.size();
  for (const live::Reading& reading : readings) widest = std::max(widest, reading.url.size());
  std::string lines;
  for (const live::Reading& reading : readings)
    lines += fmt::format("{}{:<{}}  {}\n", before, reading.url, widest, PrintableText(WatchLine(reading)));
  return lines + fmt::format("{}{:<{}}  {}\n", before, kTogether, widest, WatchLine(live::Together(readings)));
}

// Lines that were wrapped could not be drawn over.
std::string ForScreen(std::string_view table, size_t width) {
  std::string text;
  while (!table.empty()) {
    const std::string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(table.size(), line.size() + 1));
    text += Shorten(line, width) + "\n";
  }
  return text;
}

}  // namespace

WatchView::WatchView(bool json) : json_(json), redraws_(!json && ::isatty(STDOUT_FILENO) == 1) {}

void WatchView::Show(std::span<const live::Reading> readings) {
  const std::string time = WallTimeIso8601();
  if (json_) return PrintJsonLines("reading", time, readings);
  std::string text;
  if (redraws_ && drawn_lines_ > 0) text = fmt::format("\x1b[{}A\x1b[J", drawn_lines_);
  for (const live::Reading& reading : readings) {
    for (const std::string& event : reading.events) text += fmt::format("{}  {}\n", time, PrintableText(event));
  }
  drawn_lines_ = 0;
  if (redraws_) {
    const std::string table = readings.size() == 1 ? WatchTable(readings.front(), TerminalWidth()) : LinesOf("", readings);
    text += ForScreen(table, TerminalWidth());
    drawn_lines_ = static_cast<int>(std::ranges::count(table, '\n'));
  } else if (readings.size() > 1) {
    text += LinesOf(time + "  ", readings);
  } else if (readings.front().events.empty() || readings.front().duration_s > 0) {
    text += fmt::format("{}  {}\n", time, PrintableText(WatchLine(readings.front())));
  }
  PrintText(text);
}

void WatchView::End(std::span<const live::Reading> summaries) {
  if (json_) return PrintJsonLines("summary", WallTimeIso8601(), summaries);
  for (const live::Reading& summary : summaries) {
    if (summary.duration_s == 0) continue;
    const std::string whose = summaries.size() > 1 ? fmt::format(", {}", summary.url) : "";
    PrintText(fmt::format("\nin all {:.0f} s{}\n{}", summary.duration_s, whose, WatchTable(summary, TerminalWidth())));
  }
  if (summaries.size() > 1) PrintText(fmt::format("\ntogether\n{}", WatchTable(live::Together(summaries), TerminalWidth())));
}

}  // namespace moecap::app
