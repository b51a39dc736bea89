// `moecap runs` as its users run it, on small run folders.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/testing/run_test_folder.h"
#include "base/json.h"
#include "base/table.h"
#include "program.h"
#include "store/run_store.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class RunsCli : public testing::Test {
 protected:
  void SetUp() override {
    Write("20260101-000000-first", true, "2026-01-01T00:00:00Z");
    Write("20260102-000000-second", false, "2026-01-02T00:00:00Z");
    ASSERT_EQ(Call({"runs", "import", "results/20260101-000000-first", "results/20260102-000000-second"}).exit_code, 0);
  }
  void Write(const std::string& run_id, bool complete, const std::string& started_at) const {
    analysis::TestRun run;
    run.run_id = run_id;
    run.complete = complete;
    run.started_at = started_at;
    run.systems = {{.usd_per_h = 1.25}};
    dir_.Write(run);
  }
  Outcome Call(const std::vector<std::string>& args) const { return CallProgram(dir_ / "", args); }
  Json CallJson(const std::vector<std::string>& args) const {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return ParseJson(outcome.out).value();
  }
  std::vector<std::string> Ids(const std::vector<std::string>& args) const {
    std::vector<std::string> all = {"runs", "--json"};
    all.insert(all.end(), args.begin(), args.end());
    std::vector<std::string> ids;
    const Json listed = CallJson(all);
    for (const Json& run : listed["runs"]) ids.push_back(run["run_id"]);
    return ids;
  }
  void ExpectRefused(const std::vector<std::string>& args, const std::vector<std::string>& parts) const {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  }

  analysis::RunTestFolder dir_;
  const fs::path events_ = "measurements/A-clients-4-0/events.0.bin";
};

TEST_F(RunsCli, ListsFiltersAndSorts) {
  const Outcome text = Call({"runs"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("20260101-000000-first"), HasSubstr("interrupted"), HasSubstr("small")));
  EXPECT_EQ(text.err, "");
  EXPECT_EQ(Call({"runs", "list"}).out, text.out);
  const std::vector<std::string> both = {"20260102-000000-second", "20260101-000000-first"};
  EXPECT_EQ(Ids({}), both);
  EXPECT_EQ(Ids({"--filter", "status=complete"}), std::vector<std::string>{both[1]});
  EXPECT_EQ(Ids({"--filter", "since=2026-01-02"}), std::vector<std::string>{both[0]});
  EXPECT_EQ(Ids({"--limit", "1"}), std::vector<std::string>{both[0]});
  EXPECT_EQ(Ids({"--sort", "id", "--filter", "model=SMALL", "--filter", "system=a"}).front(), both[1]);
  EXPECT_EQ(Call({"runs", "--filter", "model=small", "list"}).out, text.out) << "a filter takes one word";
  EXPECT_THAT(Call({"runs", "--filter", "tag=none"}).out, HasSubstr("No run in results is as the filters say"));
  ExpectRefused({"runs", "--filter", "colour=red"}, {"colour", "model, system"});
  ExpectRefused({"runs", "--filter", "model"}, {"model=VALUE"});
  ExpectRefused({"runs", "--filter", "since=yesterday"}, {"yesterday", "2026-01-31"});
  ExpectRefused({"runs", "--filter", "status=done"}, {"done", "interrupted"});
  ExpectRefused({"runs", "--filter", "model=a", "--filter", "model=b"}, {"twice"});
  ExpectRefused({"runs", "--sort", "size"}, {"size", "started"});
  ExpectRefused({"runs", "--limit", "0"}, {"--limit"});
}

TEST_F(RunsCli, NoLineIsWiderThanEightyCells) {
  store::RunStore store = store::RunStore::Open(dir_ / "results", store::Access::kReadWrite).value();
  store::StoredRun run = store.Find("20260101-000000-first").value();
  run.info.run_id = "20260103-000000-a-name-that-goes-on-and-on-" + std::string(60, 'x');
  run.systems[0].model_id = "organisation/a-model-with-a-long-name-\xc3\xa9-" + std::string(50, 'y');
  run.systems[0].engine = std::string(200, 'e');
  run.tags = {std::string(64, 't'), "u"};
  ASSERT_TRUE(store.Put(run).ok());
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"runs"}, {"runs", "show", "latest"}, {"runs", "show", "20260103"}}) {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    for (size_t begin = 0; begin < outcome.out.size();) {
      const size_t end = outcome.out.find('\n', begin);
      EXPECT_LE(DisplayWidth(outcome.out.substr(begin, end - begin)), 80u) << outcome.out;
      begin = end + 1;
    }
  }
}

TEST_F(RunsCli, ShowsTagsAndNamesRunsByTheirBeginning) {
  const Json shown = CallJson({"runs", "show", "20260101", "--json"});
  EXPECT_EQ(shown["schema"], 2);
  EXPECT_EQ(shown["status"], "complete");
  EXPECT_EQ(shown["workload"], "5 tokens in, 10 out");
  EXPECT_EQ(shown["cells"][0]["label"], "4 clients");
  EXPECT_NEAR(shown["cells"][0]["figures"]["tpot_mean_s"].get<double>(), 0.01, 1e-9);
  EXPECT_TRUE(shown["cells"][0]["figures"]["accuracy"].is_null());
  EXPECT_EQ(shown["cost_inputs"]["A"]["rent_usd_per_h"]["value"], 1.25);
  EXPECT_EQ(shown["files"].size(), 3u);
  EXPECT_THAT(Call({"runs", "show", "latest"}).out,
              AllOf(HasSubstr("20260102-000000-second"), HasSubstr("rent_usd_per_h 1.25 (test")));
  EXPECT_EQ(CallJson({"runs", "tag", "latest", "paper", "v1", "--json"})["tags"], Json({"paper", "v1"}));
  EXPECT_EQ(Ids({"--filter", "tag=paper"}), std::vector<std::string>{"20260102-000000-second"});
  EXPECT_THAT(Call({"runs", "untag", "latest", "v1"}).out, HasSubstr("second: paper\n"));
  ExpectRefused({"runs", "untag", "latest", "v1"}, {"no tag \"v1\""});
  ExpectRefused({"runs", "tag", "latest", "not good"}, {"\"not good\" cannot be a tag"});
  ExpectRefused({"runs", "show", "2026010"}, {"several run ids", "first", "second"});
  ExpectRefused({"runs", "show", "none"}, {"no run \"none\""});

  EXPECT_THAT(Call({"report", "20260101"}).out, HasSubstr("20260101-000000-first"));
  EXPECT_THAT(Call({"report", "latest"}).out, HasSubstr("20260102-000000-second"));
  EXPECT_THAT(Call({"report", "results/20260101-000000-first/"}).out, HasSubstr("20260101-000000-first"));
  ExpectRefused({"report", "2026010"}, {"several run ids"});
  ExpectRefused({"report", "none"}, {"none is not a stored run", "moecap runs"});
}

TEST_F(RunsCli, RunsAreFoundWithoutAnIndexAndWithABrokenOne) {
  fs::remove(dir_ / "results/moecap.db");
  EXPECT_THAT(Call({"report", "latest"}).out, HasSubstr("20260102-000000-second"));
  const Outcome list = Call({"runs"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.err, AllOf(HasSubstr("2 run folders"), HasSubstr("moecap runs rebuild")));
  EXPECT_FALSE(fs::exists(dir_ / "results/moecap.db")) << "a list makes nothing";
  ExpectRefused({"runs", "show", "latest"}, {"no moecap.db in results", "rebuild"});

  std::ofstream(dir_ / "results/moecap.db") << "not a database, but long enough to look like one " << std::string(500, 'x');
  EXPECT_THAT(Call({"report", "20260101"}).out, HasSubstr("20260101-000000-first"));
  for (const std::vector<std::string>& args : {std::vector<std::string>{"runs"},
                                               {"runs", "show", "latest"},
                                               {"runs", "tag", "latest", "x"},
                                               {"runs", "delete", "latest", "--yes"},
                                               {"runs", "import", "results/20260101-000000-first"},
                                               {"runs", "verify"}}) {
    ExpectRefused(args, {"results/moecap.db", "not a database", "nothing was changed", "moecap runs rebuild"});
  }
  const Json rebuilt = CallJson({"runs", "rebuild", "--json"});
  EXPECT_EQ(rebuilt["runs"], 2);
  EXPECT_EQ(rebuilt["old_database"], "results/moecap.db.old1");
  EXPECT_EQ(Ids({}).size(), 2u);
}

TEST_F(RunsCli, ADatabaseOfANewerVersionIsRefused) {
  {
    const auto store = store::RunStore::Open(dir_ / "results", store::Access::kReadWrite);
    ASSERT_TRUE(store->database().Execute("PRAGMA user_version = 99").ok());
  }
  ExpectRefused({"runs"}, {"results/moecap.db", "schema version 99", "newer moecap"});
  ExpectRefused({"runs", "tag", "latest", "x"}, {"schema version 99"});
}

TEST_F(RunsCli, DeletesOnlyWhenTold) {
  const fs::path folder = dir_ / "results/20260101-000000-first";
  ExpectRefused({"runs", "delete", "20260101", "--files"}, {"--yes", "Nothing was deleted", "results/20260101-000000-first"});
  EXPECT_EQ(Ids({}).size(), 2u);
  const Outcome kept = Call({"runs", "delete", "20260101", "--yes"});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.out, HasSubstr("is kept"));
  EXPECT_TRUE(fs::exists(folder / "manifest.json"));
  EXPECT_THAT(Call({"runs"}).err, HasSubstr("moecap runs import results/20260101-000000-first"));
  ASSERT_EQ(Call({"runs", "import", "results/20260101-000000-first"}).exit_code, 0);
  EXPECT_EQ(CallJson({"runs", "delete", "20260101", "--files", "--yes", "--json"})["folder_removed"], true);
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_EQ(Ids({}).size(), 1u);
}

TEST_F(RunsCli, ExportsImportsAndVerifies) {
  ASSERT_EQ(Call({"runs", "tag", "20260101", "paper"}).exit_code, 0);
  ASSERT_EQ(Call({"runs", "export", "20260101", "--to", "moved"}).exit_code, 0);
  ExpectRefused({"runs", "export", "20260101", "--to", "moved"}, {"moved exists already"});
  const Json imported = CallJson({"runs", "import", "moved", "--results-dir", "second", "--json"});
  EXPECT_EQ(imported["runs"][0]["was_there"], false);
  EXPECT_EQ(Ids({"--results-dir", "second", "--filter", "tag=paper"}), std::vector<std::string>{"20260101-000000-first"});
  EXPECT_EQ(Call({"report", "20260101"}).out, Call({"report", "second/20260101-000000-first"}).out);
  const Json verified = CallJson({"runs", "verify", "--json", "--results-dir", "second"});
  EXPECT_EQ(verified["files"], 3);
  EXPECT_TRUE(verified["problems"].empty());
  fs::resize_file(dir_ / "second/20260101-000000-first" / events_, 3);
  const Outcome broken = Call({"runs", "verify", "--results-dir", "second"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.out, HasSubstr("20260101-000000-first: " + events_.string() + " has 3 bytes instead of"));
  fs::create_directory(dir_ / "empty");
  ExpectRefused({"runs", "import", "empty"}, {"empty is not a stored run"});
  ExpectRefused({"runs", "import", "second/20260101-000000-first"}, {"events.0.bin"});
}

// Results of other clients are runs, too, whose figures are those of their tool.
TEST_F(RunsCli, ResultsOfOtherToolsStandBesideOurs) {
  const auto result = [this](const std::string& name, int clients, double rate) {
    std::ofstream(dir_ / name)
        << R"({"date":"20260428-105748","model_id":"org/m","num_prompts":8,"request_rate":"inf","duration":2.0,)"
        << R"("completed":8,"mean_ttft_ms":100.0,"mean_tpot_ms":10.0,"max_concurrency":)" << clients
        << ",\"output_throughput\":" << rate << "}";
  };
  result("a.json", 4, 50);
  result("b.json", 8, 90);
  const Json imported = CallJson({"runs", "import", "a.json", "b.json", "--json"});
  ASSERT_EQ(imported["runs"].size(), 1u) << DumpJson(imported);
  const std::string id = imported["runs"][0]["run_id"];
  EXPECT_EQ(CallJson({"runs", "import", "b.json", "a.json", "--json"})["runs"][0]["was_there"], true);
  const Json shown = CallJson({"runs", "show", id, "--json"});
  EXPECT_EQ(shown["cells"].size(), 2u);
  const Outcome report = Call({"report", id});
  EXPECT_THAT(report.out, AllOf(HasSubstr("vllm bench serve"), HasSubstr("8 clients"), HasSubstr("90")));
  const Outcome compared = Call({"compare", id, "20260101", "--force"});
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_TRUE(CallJson({"runs", "verify", "--json"})["problems"].empty());
  std::ofstream(dir_ / "c.json") << R"([{"model_filename":"m","avg_ts":1.0,"n_gen":1,"n_prompt":0}])";
  ExpectRefused({"runs", "import", "a.json", "c.json"}, {"one tool at a time"});
  std::ofstream(dir_ / "d.json") << "{\"a\": 1}";
  ExpectRefused({"runs", "import", "d.json"}, {"d.json", "vllm bench serve"});
}

// Figures alone are enough for every report and comparison, and nothing else.
TEST_F(RunsCli, ACompactExportIsReportedAndComparedLikeTheWholeRun) {
  ASSERT_EQ(Call({"runs", "export", "20260101", "--to", "small", "--compact"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(dir_ / "small/measurements"));
  EXPECT_EQ(Call({"report", "small", "--all"}).out, Call({"report", "20260101", "--all"}).out);
  EXPECT_EQ(Call({"report", "small", "--json"}).out, Call({"report", "20260101", "--json"}).out);
  EXPECT_EQ(Call({"compare", "small", "--json"}).exit_code, 0);
  ExpectRefused({"compare", "small", "--limit-ttft-s", "1"}, {"small holds figures only"});
  ExpectRefused({"report", "small", "--format", "vllm"}, {"small holds the figures of its run only"});
  EXPECT_EQ(CallJson({"runs", "import", "small", "--results-dir", "third", "--json"})["runs"][0]["was_there"], false);
  EXPECT_EQ(Ids({"--results-dir", "third"}), std::vector<std::string>{"20260101-000000-first"});
}

// Load tests and the folders of version 0.1 are runs like others.
// What `sql` says of requests is what the event logs hold: three of ten tokens of 10 ms, at 0, 1 and 2 s.
TEST_F(RunsCli, RequestsAreAskedForInSql) {
  const auto rows = [&](const std::string& sql) { return CallJson({"runs", "sql", sql, "--json"})["rows"]; };
  const Json found = rows(
      "SELECT id, round(first_token_s - send_s, 9) AS ttft_s, output_tokens, json_array_length(token_s) AS times FROM requests "
      "WHERE run_id = '20260101-000000-first' ORDER BY id");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[2], (Json{{"id", "3"}, {"ttft_s", 0.01}, {"output_tokens", 10}, {"times", 10}}));
  EXPECT_EQ(rows("SELECT run_id, count(*) AS n FROM requests GROUP BY run_id")[1],
            (Json{{"run_id", "20260102-000000-second"}, {"n", 3}}));
  const Json joined = rows(
      "SELECT cells.label, count(*) AS n FROM cells JOIN requests USING (run_id, system, level_kind, level) GROUP BY run_id");
  EXPECT_EQ(joined[0], (Json{{"label", "4 clients"}, {"n", 3}}));
  EXPECT_TRUE(rows("SELECT * FROM passes").empty()) << "a server's passes are not known";
  ExpectRefused({"runs", "sql", "SELECT 1 AS a, 2 AS a", "--json"}, {"two columns are called a", "AS"});
  EXPECT_EQ(Call({"runs", "sql", "SELECT 1 AS a, 2 AS a"}).exit_code, 0) << "a table shows both";
  for (const char* limit : {"0", "-1"}) ExpectRefused({"runs", "sql", "SELECT 1", "--limit", limit}, {"--limit must be 1"});

  fs::resize_file(dir_ / ("results/20260101-000000-first/" + events_.string()), 100);
  ExpectRefused({"runs", "sql", "SELECT count(*) FROM requests"}, {"events.0.bin", "cut off"});
}

TEST_F(RunsCli, TablesAreExportedAsAWholeOrNotAtAll) {
  const std::vector<std::string> command = {"runs", "export", "20260101", "--format", "parquet", "--to", "tables"};
  const Outcome csv = Call({"runs", "export", "20260101", "--format", "csv", "--to", "tables"});
  EXPECT_EQ(csv.exit_code, 2);
  EXPECT_THAT(csv.err, HasSubstr("csv not in {folder,parquet}"));
  if (Call({"doctor"}).out.find("tools/fetch_duckdb") != std::string::npos) {
    ExpectRefused(command, {"DuckDB", "tools/fetch_duckdb"});
    EXPECT_FALSE(fs::exists(dir_ / "tables"));
    GTEST_SKIP() << "tools/fetch_duckdb was not run";
  }
  ASSERT_EQ(Call(command).exit_code, 0);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir_ / "tables")) names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, testing::UnorderedElementsAre("cells.parquet", "requests.parquet", "passes.parquet"));
  ExpectRefused(command, {"tables", "exists already"});
}

TEST_F(RunsCli, EveryKindOfRunIsListed) {
  dir_.WriteRun01("old-run");
  dir_.WriteLoad01("old-load");
  ASSERT_EQ(Call({"runs", "import", "results/old-run", "results/old-load"}).exit_code, 0);
  EXPECT_THAT(Call({"runs"}).out, AllOf(HasSubstr("old-run"), HasSubstr("old-load"), HasSubstr("served")));
  const Json shown = CallJson({"runs", "show", "old-load", "--json"});
  EXPECT_EQ(shown["cells"][0]["level_kind"], "rates_per_s");
  EXPECT_EQ(shown["systems"][0]["engine"], "vLLM 0.11.0");
  EXPECT_TRUE(CallJson({"runs", "verify", "--json"})["problems"].empty());
}

TEST_F(RunsCli, AThousandRunsAreListed) {
  {
    store::RunStore store = store::RunStore::Open(dir_ / "results", store::Access::kReadWrite).value();
    ASSERT_TRUE(store.database().Execute("PRAGMA synchronous = OFF").ok());
    store::StoredRun run = store.Find("20260101-000000-first").value();
    run.manifest_json += std::string(50'000, ' ');
    for (int i = 0; i < 1000; ++i) {
      run.info.run_id = "bulk-" + std::to_string(i);
      ASSERT_TRUE(store.Put(run).ok());
    }
  }
  const Outcome list = Call({"runs"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 1002 + 3) << "two header lines and a rule";
}

}  // namespace
}  // namespace moecap::e2e
