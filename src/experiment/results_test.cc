// Folders on disk: what a damaged one says, what a resume compares, those of version 0.1.
#include "experiment/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/fs.h"
#include "experiment/model_json.h"
#include "experiment/resume.h"
#include "experiment/testing/experiment_fixture.h"
#include "record/jsonl.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;
using cap::FigureId;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ExperimentTest, ASecondRunOfTheSameIdGetsAFolderOfItsOwn) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  EXPECT_EQ(Create(config, experiment).manifest().run_id, "run");
  const Results second = Create(config, experiment);
  EXPECT_EQ(second.manifest().run_id, "run-2");
  EXPECT_EQ(second.dir(), dir_ / "results" / "run-2");
}

TEST_F(ExperimentTest, AFolderMadeElsewhereAppearsAsAWhole) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(results.MoveTo(dir_ / "shown").ok());
  EXPECT_EQ(results.dir(), dir_ / "shown" / "run");
  EXPECT_FALSE(fs::exists(dir_ / "results" / "run"));
  Results second = Create(config, experiment);
  ASSERT_TRUE(second.MoveTo(dir_ / "shown").ok());
  EXPECT_EQ(second.manifest().run_id, "run-2");
  EXPECT_EQ(Results::Open(dir_ / "shown" / "run-2")->manifest().run_id, "run-2");
  fs::remove_all(second.dir());
  ASSERT_FALSE(second.MoveTo(dir_ / "again").ok()) << "its folder is gone";
  EXPECT_FALSE(fs::exists(dir_ / "again" / "run-2"));
}

// A process that is killed in between leaves a run whose listed measurements can all be read.
TEST_F(ExperimentTest, AMeasurementIsListedOnlyWhenItsFilesAreThere) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  Measurement measurement;
  measurement.system = results.manifest().systems.at(0).description.name;
  measurement.name = results.MakeFolder(measurement, {}).value();
  EXPECT_TRUE(fs::exists(results.PlanFile(measurement.name)));
  EXPECT_THAT(Results::Open(results.dir())->manifest().measurements, testing::IsEmpty());
  ASSERT_TRUE(results.List(measurement).ok());
  EXPECT_EQ(Results::Open(results.dir())->manifest().measurements.at(0).name, measurement.name);
  // And a run leaves the folder alone: the next one gets another name.
  EXPECT_NE(results.MakeFolder(measurement, {}).value(), measurement.name);
}

TEST_F(ExperimentTest, NamesADamagedFolder) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const Measurement measurement = results.manifest().measurements.at(0);
  const fs::path answers = results.dir() / "measurements" / measurement.name / "answers.jsonl";
  const std::string text = ReadFile(answers).value();
  ASSERT_TRUE(WriteFileAtomically(answers, text.substr(0, text.find('\n') + 1)).ok());
  EXPECT_THAT(results.ReadFacts(measurement).error().message, HasSubstr("answers.jsonl is cut off"));
  fs::remove(answers);
  EXPECT_THAT(results.ReadFacts(measurement).error().message, HasSubstr("answers.jsonl: No such file"));
  ASSERT_TRUE(WriteFileAtomically(results.dir() / kManifestName, "{\"schema\": 9}").ok());
  EXPECT_THAT(Results::Open(results.dir()).error().message, HasSubstr("schema 9"));
  EXPECT_THAT(Results::Open(dir_ / "nothing").error().message, HasSubstr("not a stored run"));
}

// What is left of a log, or of a file of lines, may well be read: its size tells that there was more.
TEST_F(ExperimentTest, NamesAFileThatWasCopiedInPart) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const Measurement measurement = results.manifest().measurements.at(1);
  for (const char* name : {"events.0.bin", "passes.jsonl", "plan.jsonl", "routing.moetrace"}) {
    const fs::path file = results.dir() / "measurements" / measurement.name / name;
    const std::string text = ReadFile(file).value();
    // Whole lines, whole frames: nothing in the file is damaged.
    const size_t left = std::string(name).ends_with(".jsonl") ? text.find('\n') + 1 : text.size() - 1;
    ASSERT_TRUE(WriteFileAtomically(file, text.substr(0, left)).ok());
    Results opened = Results::Open(results.dir()).value();
    const auto says = HasSubstr(std::string(name) + " is cut off: it holds " + std::to_string(left) +
                                " bytes, the manifest counts " + std::to_string(text.size()));
    EXPECT_THAT(opened.ReadFacts(measurement).error().message, says);
    EXPECT_THAT(Summarize(opened).error().message, says) << "report and compare";
    EXPECT_THAT(opened.Files().error().message, says) << "verify";
    EXPECT_THAT(opened.PrepareResume().error().message, says) << "resume";
    ASSERT_TRUE(WriteFileAtomically(file, text).ok());
    EXPECT_TRUE(opened.ReadFacts(measurement).ok());
  }
}

// Runs of earlier versions hold the counts in passes.jsonl.
TEST_F(ExperimentTest, RoutingBesideThePassesGivesTheSameFigures) {
  const auto summary = Measure(std::string(kEngines) + "concurrency: [1, 2]\nrepeats: 2\n");
  const fs::path dir = dir_ / "results" / "run";
  const Results stored = Results::Open(dir).value();
  Json manifest = ParseJson(ReadFile(dir / kManifestName).value()).value();
  int traces = 0;
  for (Json& entry : manifest["measurements"]) {
    const Measurement& measurement =
        *std::ranges::find(stored.manifest().measurements, entry["name"].get<std::string>(), &Measurement::name);
    const fs::path folder = dir / "measurements" / measurement.name;
    EXPECT_THAT(ReadFile(folder / "passes.jsonl").value(), testing::Not(HasSubstr("expert_counts")));
    EXPECT_EQ(entry["file_bytes"].erase("routing.moetrace"), measurement.routing_of.empty() ? 1u : 0u);
    if (!measurement.routing_of.empty()) continue;
    ++traces;
    std::string lines;
    for (const record::PassRecord& pass : stored.ReadFacts(measurement).value().records.passes) {
      EXPECT_FALSE(pass.expert_counts.empty());
      lines += record::ToJsonLine(pass) + "\n";
    }
    ASSERT_TRUE(WriteFileAtomically(folder / "passes.jsonl", lines).ok());
    fs::remove(folder / "routing.moetrace");
  }
  EXPECT_EQ(traces, 4) << "one a cell: equal repetitions share it";
  ASSERT_TRUE(WriteFileAtomically(dir / kManifestName, DumpJson(manifest)).ok());
  const auto before = SummaryOf(dir);
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    EXPECT_EQ(before.systems[i].expert_share, summary.systems[i].expert_share);
    EXPECT_FALSE(summary.systems[i].expert_share.empty());
    for (size_t cell = 0; cell < summary.systems[i].cells.size(); ++cell) {
      EXPECT_EQ(before.systems[i].cells[cell].figures, summary.systems[i].cells[cell].figures);
      EXPECT_TRUE(summary.systems[i].cells[cell].figures[cap::FigureId::kDecodeSMfu].has_value());
    }
  }
}

// Folders of version 0.1, with the figures that version printed.

TEST_F(ExperimentTest, AResumeNamesWhatChanged) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  const Manifest stored = Create(config, experiment).manifest();
  EXPECT_THAT(ChangesSince(stored, stored), testing::IsEmpty());
  Manifest now = stored;
  now.systems[0].description.engine = "scripted 2";
  now.systems[1].description.model_file_bytes = 7;
  now.host.cpu_model = "another";
  now.config.text += "seed: 2\n";
  const auto changes = ChangesSince(stored, now);
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_THAT(changes[0], HasSubstr("host"));
  EXPECT_THAT(changes[1], HasSubstr("configuration"));
  EXPECT_THAT(changes[2], HasSubstr("system A, engine: it was scripted, now it is scripted 2"));
  EXPECT_THAT(changes[3], HasSubstr("system B, size"));
  Manifest other = stored;
  other.systems[1].description.model_file_xxh3 = "00";
  EXPECT_THAT(ChangesSince(stored, other), ElementsAre(HasSubstr("content of")));
}

TEST(Version01, ARunOpens) {
  const auto results = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/run-0.1");
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.size(), 4u);
  const auto summary = Summarize(*results);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_EQ(summary->systems.size(), 2u);
  const cap::CellSummary& cell = summary->systems[0].cells.at(0);
  EXPECT_EQ(cell.label, "2 clients");
  EXPECT_EQ(cell.figures[FigureId::kRequests].value(), 4);
  EXPECT_EQ(cell.figures[FigureId::kAccuracy].value(), 0);
  EXPECT_NEAR(cell.figures[FigureId::kTtftMean].value(), 1.0646254405, 1e-9);
  EXPECT_NEAR(cell.figures[FigureId::kTpotMean].value(), 0.1579547223369565, 1e-9);
  EXPECT_NEAR(cell.figures[FigureId::kDecodeSMbu].value(), 0.002058166845189413, 1e-12);
  EXPECT_TRUE(cell.figures[FigureId::kGoodput].has_value()) << "its service level";
  auto resumed = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/run-0.1");
  EXPECT_THAT(resumed->PrepareResume().error().message, HasSubstr("version 0.1.0"));
}

TEST(Version01, ALoadTestOpens) {
  const auto results = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/load-0.1");
  ASSERT_TRUE(results.ok()) << results.error().message;
  const auto summary = Summarize(*results);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_EQ(summary->systems.size(), 1u);
  EXPECT_FALSE(summary->systems[0].in_process);
  ASSERT_EQ(summary->systems[0].cells.size(), 2u);
  EXPECT_EQ(summary->systems[0].cells[1].label, "2 clients");
  EXPECT_EQ(summary->systems[0].cells[1].figures[FigureId::kCompleted].value(), 4);
  EXPECT_EQ(summary->objectives.ttft_s, 1);
}

TEST(ModelJson, KeepsEveryFigure) {
  const model::ModelSpec spec = SmallMoe();
  const auto again = ModelSpecFromJson(ToJson(spec));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(*again), ToJson(spec));
  EXPECT_EQ(again->TotalParams(), spec.TotalParams());
  EXPECT_EQ(again->ActiveParams(), spec.ActiveParams());
  EXPECT_EQ(again->WeightBytes(), spec.WeightBytes());
  EXPECT_EQ(again->KvElementsPerToken(), spec.KvElementsPerToken());
  EXPECT_THAT(ModelSpecFromJson(Json::object()).error().message, HasSubstr("id"));
}

// S-MBU counts KV bytes by the layout of the cache, so a stored model keeps them; a reader needs no table of layouts.
TEST(ModelJson, KeepsTheBytesOfAKvEntry) {
  model::ModelSpec spec = SmallMoe();
  Json json = ToJson(spec);
  for (const auto& layer : json.at("layers"))
    EXPECT_EQ(layer.at("attention").at("caches").at(0).at("entry_bytes"), 2) << "two elements of 8 bits";
  spec.layers[0].attention.caches[0].entry_bytes = 2.5;  // with a scale
  spec.layers[0].attention.caches[0].rope_elements = 1;
  json = ToJson(spec);
  const auto again = ModelSpecFromJson(json);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->ResidentKvBytes(10), 10 * 2.5 + 10 * 2);
  EXPECT_EQ(again->ResidentKvBytes(10), spec.ResidentKvBytes(10));
  EXPECT_EQ(again->layers[0].attention.caches[0].rope_elements, 1);
  for (const char* key : {"entry_bytes", "rope_elements", "index_keys"}) json["layers"][0]["attention"]["caches"][0].erase(key);
  const auto earlier = ModelSpecFromJson(json);
  ASSERT_TRUE(earlier.ok()) << "runs of earlier versions do not hold them: " << earlier.error().message;
  EXPECT_EQ(earlier->ResidentKvBytes(10), 10 * 2 + 10 * 2);
}

// What the JSON library says names itself and its errors' numbers.
TEST_F(ExperimentTest, WhatIsDamagedIsSaidInOurOwnWords) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const Measurement measurement = results.manifest().measurements.at(0);
  const fs::path manifest = results.dir() / kManifestName;
  const fs::path folder = results.dir() / "measurements" / measurement.name;
  const auto ours = testing::Not(testing::AnyOf(HasSubstr("exception"), HasSubstr("json."), HasSubstr("nlohmann")));
  const Json whole = ParseJson(ReadFile(manifest).value()).value();
  for (const auto& [pointer, value, reason] : {std::tuple{"/systems", Json(7), ""},
                                               {"/schema", Json("2"), "number"},
                                               {"/config/yaml", Json(5), "string"},
                                               {"/systems/0/model/layers/0", Json::object(), "\"attention\""},
                                               {"/systems/0/cost_inputs", Json(7), ""},
                                               {"/measurements", Json(7), ""},
                                               {"/schema", Json(1), ""}}) {
    Json damaged = whole;
    damaged[Json::json_pointer(pointer)] = value;
    ASSERT_TRUE(WriteFileAtomically(manifest, DumpJson(damaged)).ok());
    const auto opened = Results::Open(results.dir());
    ASSERT_FALSE(opened.ok()) << pointer;
    EXPECT_THAT(opened.error().message, testing::AllOf(ours, HasSubstr(reason))) << pointer;
  }
  for (const char* name : {"plan.jsonl", "answers.jsonl", "passes.jsonl"}) {
    const std::string text = ReadFile(folder / name).value();
    ASSERT_TRUE(WriteFileAtomically(folder / name, "{\"id\": [1], \"text\": 5}" + std::string(text.size(), ' ') + "\n").ok());
    const auto facts = results.ReadFacts(measurement);
    ASSERT_FALSE(facts.ok()) << name;
    EXPECT_THAT(facts.error().message, testing::AllOf(ours, HasSubstr(name)));
    ASSERT_TRUE(WriteFileAtomically(folder / name, text).ok());
  }
}

// Version 0.1 wrote 0 for a context that no file tells.
TEST(ModelJson, AnUnknownContextIsNull) {
  model::ModelSpec spec = SmallMoe();
  spec.max_context.reset();
  Json json = ToJson(spec);
  EXPECT_TRUE(json.at("max_context").is_null());
  EXPECT_FALSE(ModelSpecFromJson(json)->max_context.has_value());
  json["max_context"] = 0;
  EXPECT_FALSE(ModelSpecFromJson(json)->max_context.has_value());
  json["max_context"] = 4096;
  EXPECT_EQ(ModelSpecFromJson(json)->max_context, 4096);
}

}  // namespace
}  // namespace moecap::experiment
