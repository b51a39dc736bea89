#include "app/speculation_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/graph_check.h"
#include "model/gguf_spec.h"

namespace moecap::app {
namespace {
using testing::ElementsAre;

std::filesystem::path TinyMoe() { return std::filesystem::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }

llamacpp::LoggedPass Pass(std::vector<llamacpp::BatchToken> tokens) { return {{}, std::move(tokens), {}}; }

TEST(PlainSequences, AreReadFromThePassesOfOneSlot) {
  const llamacpp::PassLog log = {Pass({{5, 0, 0, false, -1}, {6, 1, 0, true, 7}}), Pass({{7, 2, 0, true, 8}}),
                                 Pass({{8, 3, 0, true, 9}}), Pass({{4, 0, 0, false, -1}}), Pass({{3, 1, 0, true, 2}})};
  llamacpp::ReplayedLog routing;
  for (const auto& counts : {std::vector<int32_t>{2, 2, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 0}, {1, 1, 0}})
    routing.passes.push_back({{counts}});
  const auto sequences = PlainSequencesOf(log, routing);
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_THAT(sequences[0].prompt, ElementsAre(5, 6));
  EXPECT_THAT(sequences[0].output, ElementsAre(7, 8, 9));
  ASSERT_EQ(sequences[0].experts.size(), 2u);
  EXPECT_THAT(sequences[0].experts[0][0], ElementsAre(0, 2));
  EXPECT_THAT(sequences[1].prompt, ElementsAre(4, 3)) << "a prompt in two passes";
  EXPECT_THAT(sequences[1].output, ElementsAre(2));
  EXPECT_TRUE(sequences[1].experts.empty());
}

class TinyMoeModel : public testing::Test {
 protected:
  model::ModelSpec model_ = AsTheEngineRuns(model::ReadGgufSpec(TinyMoe()).value());
  size_t layers_ = static_cast<size_t>(model_.MoeLayers());

  record::PassRecord Batch(int64_t sequences, double distinct, const planner::PassCeilings& machine) const {
    record::PassRecord pass;
    pass.sequences = {{100, 1, sequences}};
    pass.distinct_experts.assign(layers_, distinct);
    pass.latency_s = planner::VerifySeconds(model_, pass.distinct_experts, static_cast<int>(sequences), 100, 1, machine);
    return pass;
  }

  // One output that repeats 1 2 3 4, of tokens that use the experts 2 i and 2 i + 1.
  PlainSequence Loop(int tokens) const {
    PlainSequence sequence;
    sequence.prompt = {1, 2, 3, 4};
    for (int i = 0; i < tokens; ++i) sequence.output.push_back(1 + i % 4);
    for (int i = 0; i + 1 < tokens; ++i)
      sequence.experts.push_back(std::vector<std::vector<int32_t>>(layers_, {i % 4 * 2, i % 4 * 2 + 1}));
    return sequence;
  }
};

TEST_F(TinyMoeModel, CeilingsAreFoundAgain) {
  const planner::PassCeilings machine{30e9, 20e9, 40e-6};
  std::vector<record::PassRecord> passes;
  for (const auto& pass : {Batch(1, 2, machine), Batch(2, 3.5, machine), Batch(4, 6, machine), Batch(9, 9, machine)}) {
    passes.insert(passes.end(), 2, pass);
    passes[passes.size() - 2].latency_s += 20e-6;  // its graph is built anew
  }
  const PlainBatches found = FitPlainBatches(model_, passes).value();
  EXPECT_NEAR(found.new_shape_s, 20e-6, 1e-9);
  for (size_t i = 1; i < passes.size(); i += 2) {
    const auto& pass = passes[i];
    const double seconds =
        planner::VerifySeconds(model_, pass.distinct_experts, static_cast<int>(pass.SequenceCount()), 100, 1, found.ceilings);
    EXPECT_NEAR(seconds / pass.latency_s, 1, 0.02);
  }
  // A kernel that is slow with 4 rows is so when it verifies, too.
  std::vector slow = passes;
  slow[5].latency_s *= 1.5;
  const PlainBatches uneven = FitPlainBatches(model_, slow).value();
  EXPECT_FALSE(FitPlainBatches(model_, {}).ok());
  const auto pass_of = [&](int rows) {
    record::PassRecord pass;
    pass.sequences = {{100, rows, 1}};
    pass.distinct_experts.assign(layers_, 4);
    return pass;
  };
  const auto times_smooth = [&](int rows) {
    return uneven.Seconds(model_, pass_of(rows)) / planner::PassSeconds(model_, pass_of(rows), uneven.ceilings);
  };
  EXPECT_NEAR(times_smooth(4), uneven.by_rows.at(4), 1e-9);
  EXPECT_GT(uneven.by_rows.at(4), uneven.by_rows.at(2));
  EXPECT_NEAR(times_smooth(6), (3 * uneven.by_rows.at(4) + 2 * uneven.by_rows.at(9)) / 5, 1e-9) << "on the line between";
  EXPECT_NEAR(times_smooth(20), uneven.by_rows.at(9), 1e-9) << "the nearest that was measured";
}

TEST_F(TinyMoeModel, APredictionMakesTheDraftsOfTheVeryTokens) {
  const planner::PassCeilings ceilings{30e9, 20e9, 40e-6};
  const PlainBatches machine{ceilings, {{1, 1.0}}, 0};
  const std::vector sequences = {Loop(13)};
  // Every draft comes true: twelve tokens are decoded in passes of 1 + 3.
  const Speculated three = PredictDrafts(model_, sequences, {.length = 3}, 1, machine);
  EXPECT_DOUBLE_EQ(three.acceptance, 1);
  EXPECT_DOUBLE_EQ(three.tokens_per_pass, 4);
  EXPECT_DOUBLE_EQ(three.distinct, 8);
  const double plain_s = planner::VerifySeconds(model_, std::vector<double>(layers_, 2), 1, 10, 1, ceilings);
  const double verify_s = planner::VerifySeconds(model_, std::vector<double>(layers_, 8), 1, 10, 4, ceilings);
  EXPECT_NEAR(three.speed_up, 4 * plain_s / verify_s, 0.02);

  PlainBatches rebuilds = machine;
  rebuilds.new_shape_s = plain_s;
  // Three passes of 1 + 3 rows are of one shape, as are the twelve plain ones.
  EXPECT_NEAR(PredictDrafts(model_, sequences, {.length = 3}, 1, rebuilds).speed_up, 13 * plain_s / (3 * verify_s + plain_s),
              0.03);

  PlainSequence novel = Loop(7);
  novel.prompt = {91, 92};
  novel.output = {11, 12, 13, 14, 15, 16, 17};
  const Speculated none = PredictDrafts(model_, std::vector{novel}, {.length = 3}, 1, machine);
  EXPECT_DOUBLE_EQ(none.acceptance, 0);
  EXPECT_DOUBLE_EQ(none.tokens_per_pass, 1);
  EXPECT_DOUBLE_EQ(none.speed_up, 1) << "nothing was drafted";
}

// Two clients, one of which repeats itself: by hand.
TEST_F(TinyMoeModel, EachClientHasItsOwnDrafts) {
  const planner::PassCeilings ceilings{30e9, 20e9, 40e-6};
  const PlainBatches machine{ceilings, {{1, 1.0}}, 0};
  PlainSequence novel = Loop(7);
  novel.prompt = {91, 92, 93, 94};
  novel.output = {11, 12, 13, 14, 15, 16, 17};
  const std::vector sequences = {Loop(9), novel};
  // The loop decodes eight tokens in two passes of 1 + 3, the other one six in six of one row.
  const Speculated two = PredictDrafts(model_, sequences, {.length = 3}, 2, machine);
  EXPECT_DOUBLE_EQ(two.acceptance, 1);
  EXPECT_DOUBLE_EQ(two.tokens_per_pass, 14 / 8.0);
  EXPECT_DOUBLE_EQ(two.distinct, (8 + 8 + 4 * 2) / 6.0) << "the loop's experts are all eight, the other one's among them";
  record::PassRecord pass;
  const auto seconds = [&](std::vector<record::SequenceSlice> slices, double distinct) {
    pass.sequences = std::move(slices);
    pass.distinct_experts.assign(layers_, distinct);
    return planner::PassSeconds(model_, pass, ceilings);
  };
  double plain_s = 0, with_s = 0;
  for (int64_t i = 0; i < 6; ++i) plain_s += seconds({{4 + i, 1, 1}, {4 + i, 1, 1}}, 2);
  for (int64_t i = 6; i < 8; ++i) plain_s += seconds({{4 + i, 1, 1}}, 2);
  for (int64_t i = 0; i < 2; ++i) with_s += seconds({{4 + 4 * i, 4, 1}, {4 + i, 1, 1}}, 8);
  for (int64_t i = 2; i < 6; ++i) with_s += seconds({{4 + i, 1, 1}}, 2);
  EXPECT_NEAR(two.speed_up, plain_s / with_s, 1e-9);
}

TEST_F(TinyMoeModel, TheDraftsForetoldAreThoseThatAreMade) {
  const SteadyClock clock;
  const auto library = llamacpp::EngineLibrary::Load().value();
  const auto loaded = llamacpp::LoadedModel::Load(*library, TinyMoe()).value();
  std::vector<load::RequestSpec> requests(2);
  requests[0].prompt = "Question: Tom has 12 apples and buys 30 more. How many has he?\nAnswer:";
  requests[1].prompt = "Question: Ann saves 25 dollars a week. How much has she after 8 weeks?\nAnswer:";
  for (auto& request : requests) request.max_output_tokens = 32;
  SpeculationOptions options;
  options.lengths = {1, 4};
  options.clients = {1, 2};
  options.repeats = 1;
  std::vector<std::string> ways;
  const auto check = CheckSpeculation(*library, loaded, model_, requests, options, clock, [&](const SpeculationProgress& at) {
    if (ways.empty() || ways.back() != at.way) ways.push_back(at.way);
    return true;
  });
  ASSERT_TRUE(check.ok()) << check.error().message;
  EXPECT_THAT(ways, ElementsAre("1 client, plain", "2 clients, plain", "10 clients, plain", "1 client, 1 draft",
                                "1 client, 4 drafts", "2 clients, 1 draft", "2 clients, 4 drafts"));
  EXPECT_EQ(check->machine.by_rows.size(), 10u) << "two clients with four drafts are up to ten rows";
  ASSERT_EQ(check->cells.size(), 4u);
  for (const SpeculationCell& cell : check->cells) {
    if (cell.differing > 0) continue;  // a near-tie: other tokens, other drafts
    EXPECT_DOUBLE_EQ(cell.predicted.acceptance, cell.measured.acceptance);
    EXPECT_DOUBLE_EQ(cell.predicted.tokens_per_pass, cell.measured.tokens_per_pass);
    EXPECT_NEAR(cell.predicted.distinct, cell.measured.distinct, 0.25 * cell.measured.distinct);
    EXPECT_GT(cell.measured.speed_up, 0);
  }

  // What ends in time counts, what does not is said.
  options.limit_s = 1e-9;
  const auto late = CheckSpeculation(*library, loaded, model_, requests, options, clock, [](const auto&) { return true; });
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().kind, ErrorKind::kFailed);
  EXPECT_THAT(late.error().message, testing::HasSubstr("0 of 7 ways"));
  const auto stopped = CheckSpeculation(*library, loaded, model_, requests, options, clock, [](const auto&) { return false; });
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
}

}  // namespace
}  // namespace moecap::app
