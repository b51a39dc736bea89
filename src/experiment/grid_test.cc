// Many experiments from one file.
#include "experiment/grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap::experiment {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GridFile : public testing::Test {
 protected:
  Result<Grid> Read(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(temp_.path() / "grid.yaml", text).ok());
    return ReadGrid(temp_.path() / "grid.yaml");
  }
  std::string ErrorOf(const std::string& text) {
    const auto grid = Read(text);
    return grid.ok() ? "" : grid.error().message;
  }
  static std::vector<std::string> Names(const Grid& grid) {
    std::vector<std::string> names;
    for (const GridCell& cell : grid.cells) names.push_back(cell.name);
    return names;
  }
  TempDir temp_;
};

constexpr const char* kServer =
    "config:\n  server: {url: \"http://a:1\"}\n  workload: {requests: 5}\n  load: {clients: [2, 4]}\n";

TEST_F(GridFile, EveryCombinationIsACellWithItsKeysLaidOverTheCommonOnes) {
  const auto grid = Read(
      std::string("name: g\nshards: 2\nstart_lead_s: 7.5\nsettle_s: 5\nat_once: 3\nslurm: [--partition=gpu, --time=10]\n") +
      kServer +
      "axes:\n  system: {one: {}, two: {server: {url: \"http://b:2\", api: chat}}}\n"
      "  length: {short: {workload: {output_tokens: 7}}, long: {}}\n");
  ASSERT_TRUE(grid.ok()) << grid.error().message;
  EXPECT_EQ(grid->shards, 2);
  EXPECT_EQ(grid->start_lead_s, 7.5);
  EXPECT_EQ(grid->settle_s, 5);
  EXPECT_EQ(grid->at_once, 3);
  EXPECT_THAT(grid->scheduler, ElementsAre("--partition=gpu", "--time=10"));
  EXPECT_THAT(Names(*grid), ElementsAre("one-short", "one-long", "two-short", "two-long"));
  const Config& last = grid->cells[2].config;
  EXPECT_EQ(last.name, "two-short") << "runs are told apart by it";
  EXPECT_EQ(last.systems.front().server->urls.front(), "http://b:2");
  EXPECT_EQ(last.workload.requests, 5) << "what an axis does not name stays";
  EXPECT_EQ(grid->cells[0].config.systems.front().server->urls.front(), "http://a:1");
  EXPECT_NE(grid->cells[0].config.text, grid->cells[1].config.text);
}

TEST_F(GridFile, TheCommonPartMayBeAFileWhosePathsStayItsOwn) {
  std::filesystem::create_directories(temp_.path() / "below");
  ASSERT_TRUE(
      WriteFileAtomically(temp_.path() / "below/c.yaml", "server: {url: \"http://a:1\"}\ndataset: {path: d.jsonl}\n").ok());
  const auto grid = Read("name: g\nconfig: below/c.yaml\n");
  ASSERT_TRUE(grid.ok()) << grid.error().message;
  EXPECT_THAT(Names(*grid), ElementsAre("g"));
  EXPECT_EQ(grid->cells.front().config.problems->path, temp_.path() / "below/d.jsonl");
}

TEST_F(GridFile, SaysWhatIsWrongBeforeAnythingRuns) {
  EXPECT_THAT(ErrorOf("name: g\n"), HasSubstr("`config` must name"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axis: {}\n"), HasSubstr("axis"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "name: a/b\n"), HasSubstr("letters"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axes: {a: [1, 2]}\n"), HasSubstr("mapping from names"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axes: {a: {\"x y\": {}}}\n"), HasSubstr("letters"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "start_lead_s: 0\n"), HasSubstr("seconds above 0"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "settle_s: -1\n"), HasSubstr("a day at most"));
  const std::string half(50, 'x');
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axes: {a: {" + half + ": {}}, b: {" + half + ": {}}}\n"),
              HasSubstr("100 at most"))
      << "the shards' group is called like the cell";
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axes: {a: {x: {lod: 3}}}\n"), HasSubstr("cell x"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "shards: 3\n"), HasSubstr("2 clients cannot be divided among 3 shards"));
  EXPECT_THAT(ErrorOf(std::string(kServer) + "axes: {a: {x-y: {}, x: {}}, b: {z: {}, y-z: {}}}\n"),
              HasSubstr("two cells are named"));
}

}  // namespace
}  // namespace moecap::experiment
