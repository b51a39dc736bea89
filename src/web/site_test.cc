// The pages and the API by raw requests, over small stored runs.
#include "web/site.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "analysis/imported.h"
#include "analysis/testing/run_test_folder.h"
#include "analysis/transfer.h"
#include "base/clock.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/json.h"
#include "web/curves.h"
#include "web/testing/raw_client.h"
#include "web/watches.h"

namespace moecap::web {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kToken = "0123456789abcdef";
constexpr const char* kBearer = "Authorization: Bearer 0123456789abcdef\r\n";
constexpr const char* kHostile = "<script>alert(1)<-script>\"'&";

Result<analysis::DerivedFigures> FiguresOf(const experiment::Results& results) {
  ASSIGN_OR_RETURN(cap::ExperimentSummary summary, analysis::SummarizeStored(results));
  return analysis::DerivedFigures{std::move(summary), "{}"};
}

class SiteTest : public testing::Test {
 protected:
  // Written once, since each file is synced to the disk; every test has a copy.
  static void SetUpTestSuite() {
    prepared_ = std::make_unique<analysis::RunTestFolder>();
    analysis::TestRun run;
    run.run_id = "20260131-120000-first";
    run.load = "concurrency: [1, 4]";
    run.systems = {{.name = "fast", .tpot_s = 0.01, .scores = {1, 0, 1}, .machine = "8 x h100-sxm", .usd_per_h = 8},
                   {.name = "slow", .tpot_s = 0.02, .scores = {1, 1, 1}, .machine = "8 x h100-sxm", .usd_per_h = 4}};
    prepared_->Write(run);
    run.run_id = "20260201-120000-second";
    run.started_at = "2026-02-01T12:00:00Z";
    prepared_->Write(run);
    run.run_id = kHostile;
    run.systems = {{.name = kHostile, .model = kHostile}};
    run.load = "concurrency: [1]";
    prepared_->Write(run);
    EXPECT_TRUE(analysis::RebuildIndex(*prepared_ / "results", FiguresOf).ok());
  }
  static void TearDownTestSuite() { prepared_.reset(); }

  SiteTest() {
    fs::copy(*prepared_ / "results", results(), fs::copy_options::recursive);
    Start({});
  }

  void Start(GuardOptions guard) {
    server_.reset();
    site_ = MakeSite({.results_dir = results(),
                      .guard = std::move(guard),
                      .summarize = analysis::SummarizeStored,
                      .make_figures = FiguresOf,
                      .launch = [](const planner::Plan&) { return "launch-it"; }});
    server_ = HttpServer::Start({.port = 0}, *site_).value();
  }
  fs::path results() const { return files_ / "results"; }
  RawAnswer Get(const std::string& target) const { return Ask(server_->port(), "GET", target); }
  Json GetJson(const std::string& target) const {
    const RawAnswer answer = Get(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto json = ParseJson(answer.body);
    EXPECT_TRUE(json.ok()) << answer.body;
    return json.ok() ? *json : Json();
  }

  static std::unique_ptr<analysis::RunTestFolder> prepared_;
  analysis::RunTestFolder files_;
  std::unique_ptr<Service> site_;
  std::unique_ptr<HttpServer> server_;
};

std::unique_ptr<analysis::RunTestFolder> SiteTest::prepared_;

TEST_F(SiteTest, LeaderboardFindsAndSortsCells) {
  Json json = GetJson("/api/cells?sort=tpot_mean_s&all=1");
  EXPECT_EQ(json["total"], 9);
  EXPECT_EQ(json["cells"][0]["system"], "fast");
  json = GetJson("/api/cells?sort=tpot_mean_s&order=down&q=second+slow&all=1&limit=1&offset=1");
  EXPECT_EQ(json["total"], 2);
  ASSERT_EQ(json["cells"].size(), 1u);
  EXPECT_EQ(json["cells"][0]["cell"].get<std::string>().substr(0, 28), "20260201-120000-second:slow@");
  EXPECT_NEAR(json["cells"][0]["figures"]["tpot_mean_s"].get<double>(), 0.02, 1e-9);
  EXPECT_EQ(Get("/api/cells?sort=nothing").status, 400);
  const RawAnswer page = Get("/?all=1");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, AllOf(HasSubstr("/runs/20260131-120000-first"), HasSubstr("1 to 9 of 9 cells"), HasSubstr("<svg"),
                               HasSubstr("output_tokens_per_s-by-level")));
  EXPECT_THAT(Get("/?q=nothing").body, HasSubstr("No cell is as the filters say"));
}

TEST_F(SiteTest, EveryPageEscapesHostileNames) {
  const std::string path = "/runs/" + EncodePercent(kHostile);
  for (const std::string& target :
       {std::string("/?all=1"), std::string("/runs"), path, "/compare?cell=" + EncodePercent(kHostile),
        "/?q=" + EncodePercent(kHostile), "/plan?model=" + EncodePercent(kHostile),
        "/runs/" + EncodePercent(std::string("no") + kHostile)}) {
    const RawAnswer answer = Get(target);
    EXPECT_NE(answer.status, 0) << target;
    EXPECT_THAT(answer.body, AllOf(Not(HasSubstr("<script>alert")), HasSubstr("&lt;script&gt;alert"))) << target;
    EXPECT_THAT(answer.head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'")) << target;
  }
}

TEST_F(SiteTest, ARunIsItsReport) {
  const RawAnswer page = Get("/runs/20260131-120000-first");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body,
              AllOf(HasSubstr("id=\"figures\""), HasSubstr("cap-radar"), HasSubstr("moecap report 20260131-120000-first")));
  const Json json = GetJson("/api/runs/20260131-120000-first");
  EXPECT_EQ(json["run_id"], "20260131-120000-first");
  EXPECT_EQ(json["systems"].size(), 2u);
  for (const char* file : {"report.html", "report.md", "report.csv", "summary.json", "cap-radar.svg"}) {
    const RawAnswer answer = Get(std::string("/runs/20260131-120000-first/") + file);
    EXPECT_EQ(answer.status, 200) << file;
    EXPECT_THAT(answer.head, AllOf(HasSubstr("attachment; filename=\"20260131-120000-first-"), HasSubstr("sandbox"))) << file;
    EXPECT_GT(answer.body.size(), 200u) << file;
  }
  EXPECT_EQ(Get("/runs/20260131-120000-first/nothing.svg").status, 404);
}

TEST_F(SiteTest, NoPathLeavesTheResultsFolder) {
  files_.Write(analysis::TestRun{.run_id = "outside", .below = "elsewhere"});
  fs::create_directory_symlink(files_ / "elsewhere" / "outside", results() / "link");
  for (const char* target :
       {"/runs/../elsewhere/outside", "/runs/..%2felsewhere%2foutside", "/runs/%2e%2e", "/runs/link", "/runs/.",
        "/api/runs/..%2felsewhere%2foutside", "/compare?cell=..%2felsewhere%2foutside", "/compare?cell=%2fetc%2fpasswd",
        "/assets/..%2f..%2fetc%2fpasswd", "/runs/20260131-120000-first/manifest.json"}) {
    const RawAnswer answer = Get(target);
    EXPECT_TRUE(answer.status == 400 || answer.status == 404) << target << " " << answer.status;
    EXPECT_THAT(answer.body, Not(HasSubstr("id=\"figures\""))) << target;
  }
}

TEST_F(SiteTest, ComparesCellsOfSeveralRuns) {
  const std::string cells = "?cell=20260131-120000-first%3Afast%404&cell=20260201-120000-second%3Aslow%404";
  const Json json = GetJson("/api/compare" + cells);
  ASSERT_EQ(json["cells"].size(), 2u);
  const RawAnswer page = Get("/compare" + cells + "&scenario=offline");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body,
              AllOf(HasSubstr("cap-radar"), HasSubstr("All levels of these systems"), HasSubstr("pareto-cost-performance")));
  EXPECT_EQ(Get("/compare" + cells + "&scenario=nothing").status, 400);
  EXPECT_THAT(Get("/compare").body, HasSubstr("Choose cells"));
}

TEST_F(SiteTest, PlansAndSaysWhatIsWrongWithAQuestion) {
  const Json json = GetJson("/api/plan?model=Qwen%2FQwen3-30B-A3B&clients=16&devices=h100-sxm");
  EXPECT_EQ(json["model"], "Qwen/Qwen3-30B-A3B");
  EXPECT_THAT(Get("/plan?model=Qwen%2FQwen3-30B-A3B&clients=16&devices=h100-sxm").body,
              AllOf(HasSubstr("name=\"clients\" value=\"16\""), HasSubstr("launch-it")));
  const RawAnswer wrong = Get("/plan?clients=many");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("clients: &#39;many&#39; is no number"));
}

TEST_F(SiteTest, ShowsARunThatIsBeingMeasured) {
  const fs::path folder = files_.Write("running", false);
  EXPECT_EQ(GetJson("/api/runs/running/progress")["running"], false);
  const auto lock = FolderLock::Acquire(folder);
  ASSERT_TRUE(lock.ok());
  const Json json = GetJson("/api/runs/running/progress");
  EXPECT_EQ(json["running"], true);
  EXPECT_EQ(json["measurements_done"], 1);
  EXPECT_EQ(json["measurements_planned"], 1);
  EXPECT_THAT(Get("/").body, HasSubstr("data-run=\"running\""));
  EXPECT_THAT(Get("/runs/running").body, AllOf(HasSubstr("measuring"), HasSubstr("id=\"figures\"")));
}

TEST(CellNames, HoldWhatTellsRunsApart) {
  const auto cell = [](const char* run, const char* system, double level) {
    store::CellListing listing;
    listing.run.run_id = run;
    listing.system.name = system;
    listing.cell.level = level;
    return listing;
  };
  const std::vector<store::CellListing> cells = {cell("20260101-000000-h200-qwen3-plain", "A", 1),
                                                 cell("20260101-000001-h200-qwen3-graphs", "A", 2.5),
                                                 cell("20260101-000000-h200-qwen3-plain", "B", 4),
                                                 cell("x-same", "C", 1),
                                                 cell("x-same-again", "C", 1),
                                                 cell("20260101-000000-run", "D", 1),
                                                 cell("20260101-000001-run", "D", 1)};
  EXPECT_THAT(CellNames(cells), testing::ElementsAre("plain A@1", "graphs A@2.5", "B@4", "same C@1", "same-again C@1",
                                                     "000000 D@1", "000001 D@1"));
}

TEST_F(SiteTest, TellsOfARunUntilItsEnd) {
  const fs::path folder = files_.Write("running", false);
  std::optional<FolderLock> lock = FolderLock::Acquire(folder).value();
  const RawConnection follower(server_->port());
  follower.Send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string began = follower.ReadUntil("\"run_id\":\"running\"");
  EXPECT_THAT(began, AllOf(HasSubstr("HTTP/1.1 200 OK"), HasSubstr("Content-Type: text/event-stream"), HasSubstr("nosniff"),
                           HasSubstr("\r\n\r\nevent: hello\ndata: {}\n\nevent: progress\ndata: {")));
  EXPECT_THAT(began, Not(HasSubstr("event: watches"))) << "nobody asked";
  lock.reset();
  const std::string ended = follower.ReadUntil("\"running\":false");
  EXPECT_THAT(ended, HasSubstr("event: progress\ndata: {"));
  const RawConnection watcher(server_->port());
  watcher.Send("GET /api/events?watches=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(watcher.ReadUntil("event: watches\ndata: {\"html\":\"\"}"), Not(HasSubstr("event: progress")));
}

TEST_F(SiteTest, ShowsServersThatAreWatched) {
  EXPECT_THAT(Get("/live").body, HasSubstr("Nothing is being measured here now"));
  fs::create_directories(results() / "watch");
  std::string lines = "n\":1}\n{\"start_s\":-1,\"tokens_per_s\":1e300}\n";  // the end of a line, and what nobody can draw
  for (int i = 0; i < 3; ++i)
    lines +=
        fmt::format(R"({{"start_s":{},"server":"<script>","tokens_per_s":{},"s_mbu":{{"value":0.5,"low":0.4,"high":0.6}}}})", i,
                    100 + i) +
        "\n";
  ASSERT_TRUE(WriteFileAtomically(results() / "watch" / "mine.jsonl",
                                  lines + "{\"kind\":\"summary\",\"tokens_per_s\":1}\n{\"start_s\":3,")
                  .ok());
  fs::create_symlink(files_ / "results" / "watch" / "mine.jsonl", results() / "watch" / "link.jsonl");
  Start({});  // nobody has looked yet
  const Json json = GetJson("/api/live");
  ASSERT_EQ(json["watches"].size(), 1u);
  EXPECT_EQ(json["watches"][0]["name"], "mine");
  EXPECT_EQ(json["watches"][0]["reading"]["tokens_per_s"], 102);
  EXPECT_THAT(Get("/live").body, AllOf(HasSubstr("102 tokens/s"), HasSubstr("50.0 %"), HasSubstr("watch-0-tokens_per_s"),
                                       HasSubstr("&lt;script&gt;"), Not(HasSubstr("<script>"))));
}

TEST_F(SiteTest, PageAndJsonShareALookAtWhatIsLive) {
  const Library library(results(), analysis::SummarizeStored);
  FakeClock clock;
  LiveScans scans(library, clock);
  EXPECT_THAT(LivePage(scans, false).body, HasSubstr("Nothing is being measured here now"));
  const FolderLock lock = FolderLock::Acquire(files_.Write("running", false)).value();
  fs::create_directories(results() / "watch");
  ASSERT_TRUE(WriteFileAtomically(results() / "watch" / "mine.jsonl", "{\"start_s\":0}\n").ok());
  const auto live = [&] { return ParseJson(LiveJson(scans).body).value(); };
  EXPECT_TRUE(live()["runs"].empty());
  EXPECT_TRUE(live()["watches"].empty());
  clock.AdvanceNs(Latest<int>::kForNs);
  EXPECT_EQ(live()["runs"].at(0).at("run_id"), "running");
  EXPECT_EQ(live()["watches"].at(0).at("name"), "mine");
  EXPECT_THAT(LivePage(scans, false).body, AllOf(HasSubstr("data-run=\"running\""), HasSubstr("id=\"nothing\" hidden")));
}

TEST_F(SiteTest, OnlyReadsUnlessItIsToldOtherwise) {
  EXPECT_EQ(Ask(server_->port(), "PUT", "/api/imports/a/manifest.json", kBearer, "{}").status, 403);
  EXPECT_EQ(Ask(server_->port(), "POST", "/api/imports/a", kBearer).status, 403);
  EXPECT_EQ(Get("/import").status, 404);
  EXPECT_FALSE(fs::exists(results() / ".uploads"));
}

TEST_F(SiteTest, ImportsWhatIsBroughtWithTheToken) {
  Start({.token = kToken});
  const fs::path run = files_.Write(analysis::TestRun{.run_id = "20260301-120000-brought", .below = "elsewhere"});
  EXPECT_EQ(Ask(server_->port(), "PUT", "/api/imports/a/manifest.json", "", "{}").status, 401);
  EXPECT_EQ(Ask(server_->port(), "PUT", "/api/imports/a/m.json", std::string(kBearer) + "Origin: http://evil.example\r\n", "{}")
                .status,
            403);
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    if (!entry.is_regular_file()) continue;
    const std::string target = "/api/imports/a/" + entry.path().lexically_relative(run).generic_string();
    EXPECT_EQ(Ask(server_->port(), "PUT", target, kBearer, ReadFile(entry.path()).value()).status, 201) << target;
  }
  const RawAnswer imported = Ask(server_->port(), "POST", "/api/imports/a", kBearer);
  EXPECT_EQ(imported.status, 200) << imported.body;
  EXPECT_THAT(imported.body, HasSubstr("/runs/20260301-120000-brought"));
  EXPECT_EQ(Get("/runs/20260301-120000-brought").status, 200);
  EXPECT_EQ(GetJson("/api/cells?q=brought&all=1")["total"], 1);
  EXPECT_TRUE(fs::is_empty(results() / ".uploads"));
}

TEST_F(SiteTest, ImportsNothingThatLeadsOutOfItsFolder) {
  Start({.token = kToken});
  for (const char* path : {"a/..%2fb", "a/%2e%2e/b", "a/.hidden", "a", "..%2fa/b", "a/b/c/d/e/f/g/h/i", "a/b%20c"})
    EXPECT_THAT(Ask(server_->port(), "PUT", std::string("/api/imports/") + path, kBearer, "x").status, testing::AnyOf(400, 404))
        << path;
  EXPECT_FALSE(fs::exists(results() / ".uploads")) << "nothing was written";
  const fs::path run = files_.Write(analysis::TestRun{.run_id = "escaping", .below = "elsewhere"});
  std::string manifest = ReadFile(run / "manifest.json").value();
  const std::string name = "\"A-clients-4-0\"";
  const size_t at = manifest.find(name);
  ASSERT_NE(at, std::string::npos);
  manifest.replace(at, name.size(), "\"../../../results/20260131-120000-first/measurements/A-clients-4-0\"");
  EXPECT_EQ(Ask(server_->port(), "PUT", "/api/imports/b/manifest.json", kBearer, manifest).status, 201);
  const RawAnswer imported = Ask(server_->port(), "POST", "/api/imports/b", kBearer);
  EXPECT_EQ(imported.status, 400);
  EXPECT_THAT(imported.body, HasSubstr("which is not in that folder"));
  EXPECT_EQ(Get("/runs/escaping").status, 404);
}

TEST_F(SiteTest, HasItsStyleAndScript) {
  EXPECT_THAT(Get("/assets/style.css").body, AllOf(HasSubstr(".chart"), HasSubstr(".board")));
  EXPECT_THAT(Get("/").body, HasSubstr("/assets/style.css?v="));
  EXPECT_EQ(Get("/assets/other.css").status, 404);
  EXPECT_EQ(Get("/nothing").status, 404);
}

}  // namespace
}  // namespace moecap::web
