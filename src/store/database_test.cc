// The owner of SQLite's handles, and files that are no database of ours.
#include "store/database.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/fs.h"
#include "store/schema.h"
#include "store/store_test_files.h"

namespace moecap::store {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Database OpenNew(const fs::path& path) { return Database::Open(path, OpenMode::kCreate).value(); }

TEST(Database, BindsEveryTypeAndReadsItBack) {
  const TempDir dir;
  const Database database = OpenNew(dir / "a.db");
  ASSERT_TRUE(database.Execute("CREATE TABLE t (i INTEGER, r REAL, s TEXT, n TEXT)").ok());
  Statement insert = database.Prepare("INSERT INTO t VALUES (?, ?, ?, ?)").value();
  const std::string with_nul("a\0b", 3);
  ASSERT_TRUE(insert.Bind(int64_t{1} << 60, 0.1, with_nul, std::optional<std::string>()).Run().ok());
  ASSERT_TRUE(insert.Bind(0, -0.0, "", std::optional<double>(2.5)).Run().ok());
  Statement select = database.Prepare("SELECT * FROM t").value();
  ASSERT_TRUE(*select.Step());
  EXPECT_EQ(select.Int(0), int64_t{1} << 60);
  EXPECT_EQ(select.Real(1), 0.1);
  EXPECT_EQ(select.Text(2), with_nul);
  EXPECT_EQ(select.OptionalText(3), std::nullopt) << "an empty optional is NULL, also when the statement was used before";
  ASSERT_TRUE(*select.Step());
  EXPECT_EQ(select.Text(2), "");
  EXPECT_NE(select.OptionalText(2), std::nullopt) << "empty text is not NULL";
  EXPECT_FALSE(*select.Step());
}

TEST(Database, BoundTextIsNeverSql) {
  const TempDir dir;
  const Database database = OpenNew(dir / "a.db");
  ASSERT_TRUE(database.Execute("CREATE TABLE t (s TEXT)").ok());
  const std::string hostile = "'); DROP TABLE t; --";
  ASSERT_TRUE(database.Prepare("INSERT INTO t VALUES (?)")->Bind(hostile).Run().ok());
  EXPECT_EQ(database.QueryText("SELECT s FROM t").value(), hostile);
}

TEST(Database, ATransactionThatIsNotCommittedLeavesNothing) {
  const TempDir dir;
  const Database database = OpenNew(dir / "a.db");
  ASSERT_TRUE(database.Execute("CREATE TABLE t (s TEXT)").ok());
  {
    const auto transaction = Transaction::Begin(database, Transaction::Kind::kWrite);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(database.Execute("INSERT INTO t VALUES ('x')").ok());
  }
  EXPECT_EQ(database.QueryInt("SELECT count(*) FROM t").value(), 0);
  auto transaction = Transaction::Begin(database, Transaction::Kind::kWrite);
  ASSERT_TRUE(database.Execute("INSERT INTO t VALUES ('x')").ok());
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(database.QueryInt("SELECT count(*) FROM t").value(), 1);
}

TEST(Database, SettingsAreTheSafeOnes) {
  const TempDir dir;
  const Database database = OpenSchema(dir / "moecap.db", Access::kCreate).value();
  EXPECT_EQ(database.QueryText("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(database.QueryInt("PRAGMA synchronous").value(), 2) << "FULL";
  EXPECT_EQ(database.QueryInt("PRAGMA foreign_keys").value(), 1);
  EXPECT_EQ(database.QueryInt("PRAGMA user_version").value(), kSchemaVersion);
  EXPECT_EQ(database.QueryInt("PRAGMA application_id").value(), kApplicationId);
  EXPECT_FALSE(database.Execute("INSERT INTO tags VALUES ('no such run', 'x')").ok());
}

TEST(Schema, NamesWithMeaningInUrisAreFiles) {
  const TempDir dir;
  fs::create_directory(dir / "a?mode=memory#b%20c");
  { OpenStore(dir / "a?mode=memory#b%20c"); }
  EXPECT_TRUE(fs::exists(dir / "a?mode=memory#b%20c/moecap.db"));
}

// Whatever is refused stays as it was, byte for byte, and nothing appears beside it.
void ExpectRefusedUnchanged(const TempDir& dir, const std::string& name, const std::vector<std::string>& parts) {
  const std::string before = ReadFile(dir / name).value();
  for (const Access access : {Access::kRead, Access::kReadWrite, Access::kCreate}) {
    const auto opened = OpenSchema(dir / name, access);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(opened.error().message, HasSubstr((dir / name).string()));
    for (const std::string& part : parts) EXPECT_THAT(opened.error().message, HasSubstr(part));
  }
  EXPECT_EQ(ReadFile(dir / name).value(), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(Schema, ANewerVersionIsRefusedWithARemedy) {
  const TempDir dir;
  {
    const Database database = OpenNew(dir / "moecap.db");
    ASSERT_TRUE(database
                    .Execute(fmt::format("CREATE TABLE later (x); PRAGMA application_id = {}; PRAGMA user_version = {}",
                                         kApplicationId, kSchemaVersion + 1))
                    .ok());
  }
  ExpectRefusedUnchanged(dir, "moecap.db",
                         {fmt::format("schema version {}", kSchemaVersion + 1), "newer moecap", "runs rebuild"});
}

TEST(Schema, AVersionThatNeverWasIsRefused) {
  const TempDir dir;
  {
    const Database database = OpenNew(dir / "moecap.db");
    ASSERT_TRUE(database.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = -3", kApplicationId)).ok());
  }
  ExpectRefusedUnchanged(dir, "moecap.db", {"schema version -3", "runs rebuild"});
}

TEST(Schema, AnotherProgramsDatabaseIsRefused) {
  const TempDir dir;
  { ASSERT_TRUE(OpenNew(dir / "moecap.db").Execute("CREATE TABLE bookmarks (url TEXT)").ok()); }
  ExpectRefusedUnchanged(dir, "moecap.db", {"another program", "--results-dir"});
}

TEST(Schema, AFileThatIsNoDatabaseIsRefused) {
  const TempDir dir;
  std::ofstream(dir / "moecap.db") << std::string(5000, 'x');
  ExpectRefusedUnchanged(dir, "moecap.db", {"not a database", "runs rebuild"});
}

TEST(Schema, AMissingOrImpossibleFileIsNamed) {
  const TempDir dir;
  for (const Access access : {Access::kRead, Access::kReadWrite}) {
    EXPECT_THAT(OpenSchema(dir / "moecap.db", access).error().message,
                AllOf(HasSubstr("moecap.db"), HasSubstr("No such file")));
  }
  EXPECT_FALSE(fs::exists(dir / "moecap.db"));
  fs::create_directory(dir / "moecap.db");
  EXPECT_FALSE(OpenSchema(dir / "moecap.db", Access::kCreate).ok());
}

// Damage in the middle of a file that has a good head: found when the page is read, named with the file and the remedy.
TEST(Schema, DamageIsNamedAndNothingIsChanged) {
  const TempDir dir;
  {
    RunStore store = OpenStore(dir.path());
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(store.Put(SampleRun(fmt::format("run-{}", i), i, 2000)).ok());
  }
  std::string bytes = ReadFile(dir / "moecap.db").value();
  std::fill(bytes.begin() + 4096, bytes.end(), '\x5a');
  std::ofstream(dir / "moecap.db", std::ios::binary) << bytes;
  {
    auto store = RunStore::Open(dir.path(), Access::kCreate);
    ASSERT_TRUE(store.ok()) << "its first page is whole";
    for (const Status& status : {store->Put(SampleRun("new")), store->Delete("run-3", {}), store->Tag("run-3", {})}) {
      ASSERT_FALSE(status.ok());
      EXPECT_THAT(status.error().message, AllOf(HasSubstr("moecap.db"), HasSubstr("damaged"), testing::Not(HasSubstr("SQLite")),
                                                HasSubstr("moecap runs rebuild")));
    }
    EXPECT_FALSE(store->List({}).ok());
  }
  EXPECT_TRUE(ReadFile(dir / "moecap.db").value() == bytes);
}

// testdata/moecap-v1.db was written by the schema's version 1: runs "first" (two cost inputs in its manifest, tag "kept") and
// "second" (none).
TEST(Schema, AVersion1FileIsBroughtToTheCurrentVersionWithItsData) {
  const TempDir dir;
  fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v1.db", dir / "moecap.db");
  {
    const RunStore store = OpenStore(dir.path(), Access::kRead);
    const StoredRun first = store.Find("first").value();
    EXPECT_THAT(first.cost_inputs,
                ElementsAre(StoredCostInput{"F16", "pue", 1.25, 1.1, 1.5, "survey", "2026-06"},
                            StoredCostInput{"F16", "energy_usd_per_kwh", 0.15, std::nullopt, std::nullopt, "bill", ""}));
    EXPECT_THAT(first.tags, ElementsAre("kept"));
    EXPECT_EQ(first.info.status, RunStatus::kComplete);
    EXPECT_THAT(first.cells,
                ElementsAre(StoredCell{"F16",
                                       "clients",
                                       16,
                                       "16 clients",
                                       2,
                                       true,
                                       {{"failed", 0, false}, {"requests", 256, false}, {"tpot_mean_s", 0.00362, false}}}));
    EXPECT_THAT(first.files, ElementsAre(StoredFile{"manifest.json", 201, "00000000deadbeef"}));
    EXPECT_TRUE(store.Find("second")->cost_inputs.empty());
    EXPECT_THAT(store.CheckIntegrity().value(), ElementsAre());
  }
  EXPECT_EQ(OpenStore(dir.path(), Access::kReadWrite).database().QueryInt("PRAGMA user_version").value(), kSchemaVersion);
}

TEST(Schema, AMigrationThatFailsLeavesTheOldVersion) {
  const TempDir dir;
  fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v1.db", dir / "moecap.db");
  { ASSERT_TRUE(OpenNew(dir / "moecap.db").Execute("UPDATE documents SET json = '{broken'").ok()); }
  const auto opened = OpenSchema(dir / "moecap.db", Access::kReadWrite);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, AllOf(HasSubstr("moecap.db"), HasSubstr("from schema version 1 to 2")));
  const Database database = OpenNew(dir / "moecap.db");
  EXPECT_EQ(database.QueryInt("PRAGMA user_version").value(), 1);
  EXPECT_EQ(database.QueryInt("SELECT count(*) FROM sqlite_schema WHERE name = 'cost_inputs'").value(), 0);
}

// The figures that version 2 kept in columns are rows now, of which those that were null have none.
TEST(Schema, AVersion2FileKeepsItsFigures) {
  const TempDir dir;
  fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v2.db", dir / "moecap.db");
  ASSERT_TRUE(
      OpenNew(dir / "moecap.db")
          .Execute("UPDATE cohorts SET output_rate_mean_tokens_per_s = 75, joules_per_output_token = 2, accuracy = 0.5, "
                   "valid = 0, concurrency = 1")
          .ok());
  const RunStore store = OpenStore(dir.path(), Access::kRead);
  EXPECT_THAT(store.Find("first")->cells, ElementsAre(StoredCell{"F16",
                                                                 "clients",
                                                                 1,
                                                                 "1 client",
                                                                 2,
                                                                 false,
                                                                 {{"accuracy", 0.5, false},
                                                                  {"failed", 0, false},
                                                                  {"joules_per_output_token", 2, true},
                                                                  {"output_tokens_per_s", 75, false},
                                                                  {"requests", 256, false},
                                                                  {"tpot_mean_s", 0.00362, false}}}));
  EXPECT_THAT(store.CheckIntegrity().value(), ElementsAre());
}

// The file of the current version that later versions must still read.
TEST(Schema, TheCurrentVersionsFileIsRead) {
  const TempDir dir;
  fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v3.db", dir / "moecap.db");
  const RunStore store = OpenStore(dir.path(), Access::kRead);
  EXPECT_EQ(store.Find("first")->cost_inputs.size(), 2u);
  EXPECT_EQ(store.Find("first")->cells.front().figures.size(), 3u);
  EXPECT_EQ(store.List({})->size(), 2u);
}

}  // namespace
}  // namespace moecap::store
