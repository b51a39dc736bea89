#include "workload/workload_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::workload {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The configuration, or the first complaint.
Result<WorkloadConfig> Read(const std::string& yaml) {
  const auto node = ParseYaml(yaml, "load.yaml");
  if (!node.ok()) return node.error();
  YamlErrors errors("load.yaml");
  WorkloadConfig config = ReadWorkload(*node, "/configs", errors);
  if (!errors.empty()) return errors.first();
  return config;
}

std::string ErrorOf(const std::string& yaml) {
  const auto config = Read(yaml);
  return config.ok() ? "no complaint" : config.error().message;
}

TEST(WorkloadYaml, HasDefaults) {
  const auto config = Read("{}");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->input_tokens, FixedValue(512));
  EXPECT_FALSE(config->output_tokens || config->requests || config->dataset || config->trace || config->text);
  EXPECT_EQ(config->salt, SaltScope::kUnique);
  EXPECT_EQ(config->seed, 1u);
  EXPECT_EQ(config->vocabulary_from, 1000);
  EXPECT_EQ(config->vocabulary_to, 30000);
}

TEST(WorkloadYaml, ReadsEveryKey) {
  const auto config = Read(
      "input_tokens: {distribution: lognormal, mean: 512, stddev: 200, min: 300, max: 4096}\n"
      "output_tokens: {distribution: uniform, min: 10, max: 20}\n"
      "exact_output: false\nvocabulary: [5, 5000]\nshared_prefix: {tokens: 256, groups: 4, share: 0.5}\nsalt: run\nseed: 9\n"
      "requests: 300\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->input_tokens, (ValueDistribution{DistributionShape::kLognormal, 512, 200, 300, 4096}));
  EXPECT_EQ(config->output_tokens, (ValueDistribution{DistributionShape::kUniform, 0, 0, 10, 20}));
  EXPECT_EQ(config->exact_output, false);
  EXPECT_EQ(config->vocabulary_to, 5000);
  EXPECT_EQ(config->shared_prefix->tokens, 256);
  EXPECT_EQ(config->shared_prefix->groups, 4);
  EXPECT_EQ(config->shared_prefix->share, 0.5);
  EXPECT_EQ(config->salt, SaltScope::kRun);
  EXPECT_EQ(config->seed, 9u);
  EXPECT_EQ(config->requests, 300);

  const auto trace = Read(
      "trace: {path: t.jsonl, time_scale: 0.5, from_s: 60, block_tokens: 16, max_input_tokens: 99}\nmax_output_tokens: 7\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->trace->path, "/configs/t.jsonl");
  EXPECT_EQ(trace->trace->time_scale, 0.5);
  EXPECT_EQ(trace->trace->from_s, 60);
  EXPECT_EQ(trace->trace->block_tokens, 16);
  EXPECT_EQ(trace->trace->max_input_tokens, 99);
  EXPECT_EQ(trace->max_output_tokens, 7);
  EXPECT_FALSE(trace->text);

  const auto users = Read("conversations: {turns: 3, think_s: {distribution: exponential, mean: 5}}");
  ASSERT_TRUE(users.ok()) << users.error().message;
  EXPECT_TRUE(users->text);
  EXPECT_EQ(users->conversations->turns, FixedValue(3));
  EXPECT_EQ(users->conversations->think_s.mean, 5);

  const auto dataset = Read("dataset: {path: ../d.jsonl, shuffle: true}");
  ASSERT_TRUE(dataset.ok()) << dataset.error().message;
  EXPECT_EQ(dataset->dataset->path, "/d.jsonl");
  EXPECT_TRUE(dataset->dataset->shuffle);
  EXPECT_TRUE(dataset->text);
  EXPECT_EQ(Read("dataset: d.jsonl")->dataset->path, "/configs/d.jsonl");
}

TEST(WorkloadYaml, SurvivesTheManifest) {
  for (const char* yaml :
       {"{}",
        "{input_tokens: {distribution: uniform, min: 4, max: 9}, shared_prefix: {tokens: 1, share: 0.25}, vocabulary: [0, "
        "256]}",
        "{input_tokens: {distribution: normal, mean: 50, stddev: 9.5}}",
        "{output_tokens: {distribution: exponential, mean: 12.5, max: 100}, text: true, salt: none, seed: 9223372036854775807}",
        "{trace: {path: t.jsonl, time_scale: 0.1, max_input_tokens: 5}, requests: 7, exact_output: true}",
        "{dataset: {path: \"a b: #c.json\"}, conversations: {turns: {distribution: uniform, min: 1, max: 3}, think_s: 0.5}, "
        "max_output_tokens: 3}"}) {
    const auto config = Read(yaml);
    ASSERT_TRUE(config.ok()) << config.error().message;
    const Json json = ToJson(*config);
    const auto back = WorkloadFromJson(json);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(DumpJson(ToJson(*back)), DumpJson(json)) << yaml;
    EXPECT_EQ(back->input_tokens, config->input_tokens);
    EXPECT_EQ(back->output_tokens, config->output_tokens);
    EXPECT_EQ(back->seed, config->seed);
    EXPECT_EQ(back->text, config->text);
    EXPECT_EQ(back->dataset.value_or(DatasetSource()).path, config->dataset.value_or(DatasetSource()).path);
  }
  EXPECT_THAT(WorkloadFromJson(Json{{"inputs", 3}}).error().message, HasSubstr("the stored key workload:1: unknown key"));
}

TEST(WorkloadYaml, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf("seed: 1\ninput_token: 3"),
              AllOf(HasSubstr("load.yaml:2: "), HasSubstr("did you mean \"input_tokens\"")));
  EXPECT_THAT(ErrorOf("input_tokens: -4"), HasSubstr("\"input_tokens\" is -4; it must be a whole number from 1"));
  EXPECT_THAT(ErrorOf("input_tokens: 1.5"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf("input_tokens: many"), HasSubstr("must be a number"));
  EXPECT_THAT(ErrorOf("input_tokens: [1, 2]"), HasSubstr("input_tokens"));
  EXPECT_THAT(ErrorOf("output_tokens: 0"), HasSubstr("\"output_tokens\" is 0"));
  EXPECT_THAT(ErrorOf("input_tokens:\n  distribution: zipf\n  mean: 3"),
              AllOf(HasSubstr("load.yaml:2: "), HasSubstr("\"zipf\"")));
  EXPECT_THAT(ErrorOf("input_tokens: {mean: 3}"), HasSubstr("needs distribution"));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: normal, mean: 3}"), HasSubstr("needs \"stddev\""));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: normal, mean: 3, stddev: -1}"), HasSubstr("stddev is -1"));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: normal, mean: 30, stddev: 5, min: 40}"),
              HasSubstr("mean 30 is outside 40.."));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: uniform, min: 40}"), HasSubstr("needs \"min\" and \"max\""));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: uniform, min: 4, max: 9, mean: 6}"), HasSubstr("no meaning for a uniform"));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: fixed, mean: -7}"), HasSubstr("values must be from 1"));
  EXPECT_THAT(ErrorOf("input_tokens: {distribution: exponential, mean: 5, sigma: 2}"), HasSubstr("unknown key \"sigma\""));
  EXPECT_THAT(ErrorOf("vocabulary: [30000, 1000]"), HasSubstr("[from, to)"));
  EXPECT_THAT(ErrorOf("vocabulary: [1000, 1000]"), HasSubstr("[from, to)"));
  EXPECT_THAT(ErrorOf("vocabulary: [-1, 1000]"), HasSubstr("-1"));
  EXPECT_THAT(ErrorOf("shared_prefix: {tokens: 10, share: 1.5}"), HasSubstr("\"share\" is 1.5"));
  EXPECT_THAT(ErrorOf("shared_prefix: {tokens: 10, groups: 0}"), HasSubstr("\"groups\" is 0"));
  EXPECT_THAT(ErrorOf("shared_prefix: {share: 1}"), HasSubstr("needs \"tokens\""));
  EXPECT_THAT(ErrorOf("shared_prefix: {tokens: 512}"), HasSubstr("above 512"));
  EXPECT_THAT(ErrorOf("conversations: {think_s: 2}"), HasSubstr("needs \"turns\""));
  EXPECT_THAT(ErrorOf("conversations: {turns: 2, think_s: -2}"), HasSubstr("\"think_s\" is -2"));
  EXPECT_THAT(ErrorOf("{conversations: {turns: 2}, text: false}"), HasSubstr("cannot be false"));
  EXPECT_THAT(ErrorOf("{text: true, vocabulary: [0, 1000]}"), HasSubstr("these prompts are text"));
  EXPECT_THAT(ErrorOf("{dataset: a, trace: b}"), HasSubstr("exclude each other"));
  EXPECT_THAT(ErrorOf("{dataset: a, input_tokens: 4}"), HasSubstr("has no effect"));
  EXPECT_THAT(ErrorOf("{trace: a, output_tokens: 4}"), HasSubstr("has no effect"));
  EXPECT_THAT(ErrorOf("{trace: a, conversations: {turns: 2}}"), HasSubstr("cannot be put onto a trace"));
  EXPECT_THAT(ErrorOf("{trace: {path: a, time_scale: 0}}"), HasSubstr("\"time_scale\" is 0"));
  EXPECT_THAT(ErrorOf("{trace: {path: a, from_s: -1}}"), HasSubstr("\"from_s\" is -1"));
  EXPECT_THAT(ErrorOf("{trace: {from_s: 1}}"), HasSubstr("\"path\" is missing in trace"));
  EXPECT_THAT(ErrorOf("{dataset: {shuffle: true}}"), HasSubstr("\"path\" is missing in dataset"));
  EXPECT_THAT(ErrorOf("dataset: [a]"), HasSubstr("dataset must be a mapping"));
  EXPECT_THAT(ErrorOf("max_output_tokens: 4"), HasSubstr("is for data sets and traces"));
  EXPECT_THAT(ErrorOf("salt: pepper"), HasSubstr("known: unique, run, none"));
  EXPECT_THAT(ErrorOf("seed: -1"), HasSubstr("\"seed\" is -1"));
  EXPECT_THAT(ErrorOf("requests: 0"), HasSubstr("\"requests\" is 0"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("workload must be a mapping"));
}

}  // namespace
}  // namespace moecap::workload
