#include "web/watches.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/json.h"
#include "report/format.h"
#include "web/curves.h"
#include "web/page.h"

namespace moecap::web {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWatchFolder = "watch";
constexpr size_t kMostWatches = 16;
constexpr size_t kMostReadings = 180;             // of a picture
constexpr std::streamoff kTailBytes = 512 << 10;  // enough for them
constexpr double kLargest = 1e14;
constexpr auto kFresh = std::chrono::seconds(15);

// A server that a file tells of.
struct Watch {
  std::string name;    // of the file, and the server's address where it tells of several
  bool fresh = false;  // it was written a moment ago
  std::vector<Json> readings;
};

std::string WordOf(const Json& reading, const char* key) {
  const auto found = reading.find(key);
  return found != reading.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<Json> LastReadings(const fs::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kTailBytes));
  std::vector<Json> readings;
  for (std::string line; std::getline(in, line);) {
    // The first line may have lost its beginning, and the last one is perhaps being written.
    auto reading = ParseJson(line);
    // What ends a watch sums it up: it is of no moment.
    if (reading.ok() && reading->is_object() && WordOf(*reading, "kind") != "summary") readings.push_back(*std::move(reading));
  }
  if (readings.size() > kMostReadings) readings.erase(readings.begin(), readings.end() - kMostReadings);
  return readings;
}

// By the server's address, which is empty where there is one alone.
std::map<std::string, std::vector<Json>> ByServer(std::vector<Json> readings) {
  std::map<std::string, std::vector<Json>> servers;
  for (Json& reading : readings) {
    // What servers do together is no server.
    if (WordOf(reading, "of") != "together") servers[WordOf(reading, "url")].push_back(std::move(reading));
  }
  if (servers.size() != 1) return servers;
  return {{"", std::move(servers.begin()->second)}};
}

std::vector<Watch> WatchesIn(const fs::path& results_dir) {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code code;
  for (auto entry = fs::directory_iterator(results_dir / kWatchFolder, code); !code && entry != fs::directory_iterator();
       entry.increment(code)) {
    if (entry->is_symlink(code) || !entry->is_regular_file(code) || entry->path().extension() != ".jsonl") continue;
    files.emplace_back(entry->last_write_time(code), entry->path());
  }
  std::ranges::sort(files, std::greater());
  if (files.size() > kMostWatches) files.resize(kMostWatches);
  std::vector<Watch> watches;
  for (const auto& [written, file] : files) {
    const bool fresh = fs::file_time_type::clock::now() - written < kFresh;
    for (auto& [url, readings] : ByServer(LastReadings(file)))
      watches.push_back({file.stem().string() + (url.empty() ? "" : " " + url), fresh, std::move(readings)});
  }
  return watches;
}

// A number that a picture can draw, or the value of one with a band.
std::optional<double> NumberOf(const Json& reading, const char* key) {
  const auto found = reading.find(key);
  if (found == reading.end()) return std::nullopt;
  const Json& figure = found->is_object() && found->contains("value") ? (*found)["value"] : *found;
  const auto number = figure.is_number() ? std::optional(figure.get<double>()) : std::nullopt;
  return number && std::abs(*number) < kLargest ? number : std::nullopt;
}

struct Curve {
  const char *key, *title, *unit;
  double size;
};
constexpr Curve kCurves[] = {{"tokens_per_s", "Output", "tokens/s", 1},
                             {"s_mbu", "S-MBU", "% of the peak bandwidth", 0.01},
                             {"running_requests", "Requests that run", "requests", 1},
                             {"kv_used_share", "KV cache in use", "%", 0.01}};

std::vector<report::Figure> CurvesOf(const Watch& watch, size_t index) {
  std::vector<report::Figure> figures;
  for (const Curve& curve : kCurves) {
    report::StepPlot plot;
    plot.frame = {fmt::format("watch-{}-{}", index, curve.key), curve.title, "",
                  fmt::format("{} of {} over time.", curve.title, watch.name)};
    plot.x_label = "time, s";
    plot.y_label = curve.unit;
    report::StepSeries series{index, watch.name, {}, {}};
    const double first_s = NumberOf(watch.readings.front(), "start_s").value_or(0);
    double last_duration_s = 0;
    for (const Json& reading : watch.readings) {
      const auto at = NumberOf(reading, "start_s");
      const auto value = NumberOf(reading, curve.key);
      if (!at || !value || (!series.at.empty() && *at - first_s <= series.at.back())) continue;
      series.at.push_back(*at - first_s);
      series.value.push_back(*value / curve.size);
      last_duration_s = NumberOf(reading, "duration_s").value_or(0);
    }
    if (series.at.size() < 2) continue;
    // The last window lasts, too.
    series.at.push_back(series.at.back() + last_duration_s);
    series.value.push_back(series.value.back());
    plot.series.push_back(std::move(series));
    figures.push_back({std::move(plot), "", report::PlotWidth::kHalf});
  }
  return figures;
}

std::string WatchBox(const Watch& watch, size_t index) {
  const Json& last = watch.readings.back();
  const char* state = watch.fresh ? "measuring" : "ended";
  std::string out = fmt::format(
      "<section class=\"live\" aria-label=\"Watch {0}\">\n<p><span class=\"pulse {1}\"></span><strong>{0}"
      "</strong> <span class=\"tag\">{2}</span> {3}, {4}</p>\n<dl class=\"figures\">",
      Escape(watch.name), state, watch.fresh ? "watched" : "ended", Escape(WordOf(last, "server")),
      Escape(WordOf(last, "model")));
  const auto figure = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, Escape(value));
  };
  figure("output", report::RateText(NumberOf(last, "tokens_per_s"), "tokens/s"));
  figure("S-MBU", report::ShareText(NumberOf(last, "s_mbu")));
  figure("S-MFU", report::ShareText(NumberOf(last, "s_mfu")));
  figure("distinct experts", report::NumberText(NumberOf(last, "distinct_experts")));
  figure("running", report::NumberText(NumberOf(last, "running_requests")));
  figure("waiting", report::NumberText(NumberOf(last, "waiting_requests")));
  figure("KV cache", report::ShareText(NumberOf(last, "kv_used_share")));
  figure("J/token", report::NumberText(NumberOf(last, "joules_per_token")));
  return out + "</dl>\n" + FiguresHtml(CurvesOf(watch, index), "") + "</section>\n";
}

class Happenings final : public EventStream {
 public:
  Happenings(const Library& library, LiveScans& scans, bool watches) : library_(library), scans_(scans), watches_(watches) {}

  std::optional<std::string> Next() override {
    std::set<std::string> now;
    // The first one says that events arrive at all.
    std::string text = last_.empty() ? News("hello", "", "{}") : "";
    const auto runs = scans_.Running();  // held: another look may take its place
    for (const auto& [run_id, progress] : runs->json) {
      now.insert(run_id);
      text += News("progress", run_id, progress);
    }
    for (const std::string& run_id : running_) {
      if (now.contains(run_id)) continue;
      // How it ended is the last that is said of it.
      if (const auto results = library_.OpenRun(run_id); results.ok())
        text += News("progress", run_id, DumpJson(ToJson(ProgressOf(*results))));
    }
    running_ = std::move(now);
    if (watches_) text += News("watches", "", scans_.Watched()->boxes_json);
    return text;
  }

 private:
  // The event, unless it was the last one of that kind, too.
  std::string News(const char* name, const std::string& of, const std::string& data) {
    std::string& last = last_[std::string(name) + " " + of];
    if (last == data) return "";
    last = data;
    return EventText(name, last);
  }

  const Library& library_;
  LiveScans& scans_;
  bool watches_;
  std::set<std::string> running_;
  std::map<std::string, std::string> last_;
};

}  // namespace

std::shared_ptr<const LiveScans::Runs> LiveScans::Running() {
  return runs_.Get([this] {
    Runs runs{RunningNow(library_), {}};
    for (const Progress& progress : runs.progress) runs.json[progress.run_id] = DumpJson(ToJson(progress));
    return runs;
  });
}

std::shared_ptr<const LiveScans::Watches> LiveScans::Watched() {
  return watches_.Get([this] {
    const std::vector<Watch> all = WatchesIn(library_.results_dir());
    Watches watches;
    Json readings = Json::array();
    for (size_t i = 0; i < all.size(); ++i) {
      watches.boxes += WatchBox(all[i], i);
      readings.push_back({{"name", all[i].name}, {"watched", all[i].fresh}, {"reading", all[i].readings.back()}});
    }
    watches.boxes_json = DumpJson({{"html", watches.boxes}});
    watches.json = DumpJson(readings);
    return watches;
  });
}

Response LivePage(LiveScans& scans, bool writable) {
  const auto runs = scans.Running();
  const auto watches = scans.Watched();
  const bool nothing = runs->progress.empty() && watches->boxes.empty();
  return Page({"Live", "/live", writable},
              fmt::format("<main id=\"main\" class=\"wideview\"><h1>Live</h1>\n{}<div id=\"watches\">\n{}</div>\n"
                          "<p class=\"empty\" id=\"nothing\"{}>Nothing is being measured here now. Runs show themselves; a "
                          "server that is watched does with <code>moecap watch URL --json &gt; "
                          "results/watch/NAME.jsonl</code>.</p>\n</main>\n",
                          RunningStrip(runs->progress), watches->boxes, nothing ? "" : " hidden"));
}

Response LiveJson(LiveScans& scans) {
  const auto running = scans.Running();
  Json runs = Json::array();
  for (const Progress& progress : running->progress) runs.push_back(ToJson(progress));
  return {200, kJsonType, fmt::format(R"({{"schema":1,"runs":{},"watches":{}}})", DumpJson(runs), scans.Watched()->json), {}};
}

Response LiveEvents(const Library& library, LiveScans& scans, bool watches) {
  return {200, kEventType, "", {}, std::make_shared<Happenings>(library, scans, watches)};
}

}  // namespace moecap::web
