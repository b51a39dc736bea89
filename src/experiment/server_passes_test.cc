#include "experiment/server_passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {
namespace {

using record::RequestRecord;
using record::Source;
using testing::ElementsAre;
using testing::HasSubstr;

// Two answers of 5 and 3 tokens that run together, one pass behind each other.
std::vector<RequestRecord> Requests() {
  std::vector<RequestRecord> requests(2);
  requests[0].token_s = {0.1, 0.2, 0.3};
  requests[1].token_s = {0.2, 0.3, 0.4};
  for (RequestRecord& request : requests) {
    request.input_tokens = 5;
    request.output_tokens = 3;
    request.token_ids = {100, 101, 102};
  }
  return requests;
}

struct Joined {
  metrics::PassReconstruction passes;
  ServerPassFacts facts;
  Status status;
};

Joined Join(const std::vector<RequestRecord>& requests, const std::vector<const ToldExperts*>& told,
            const model::ModelSpec& model = SmallMoe(), const routing::ActivationSheet* sheet = nullptr) {
  Joined joined{metrics::ReconstructPasses(requests, {}), {}, {}};
  joined.status = AddExperts(model, sheet, requests, told, joined.passes, joined.facts);
  return joined;
}

TEST(AddExperts, CountsTheRowsOfEachPassOnce) {
  const std::vector<RequestRecord> requests = Requests();
  const ToldExperts answer{{100, 101, 102}, ScriptedExperts(), ""};
  const Joined joined = Join(requests, {&answer, &answer});
  ASSERT_TRUE(joined.status.ok());
  ASSERT_EQ(joined.passes.passes.size(), 4u);
  // Rows 0 to 4 of the first; then its row 5 beside rows 0 to 4 of the second; 6 and 5; 6.
  EXPECT_THAT(joined.passes.passes[2].expert_counts, ElementsAre(ElementsAre(0, 1, 2, 1), ElementsAre(2, 1, 0, 1)));
  EXPECT_THAT(joined.passes.passes[2].distinct_experts, ElementsAre(3, 3));
  EXPECT_THAT(joined.passes.passes[3].distinct_experts, ElementsAre(2, 2));
  EXPECT_EQ(joined.passes.passes[3].distinct_experts_source, Source::kServerReported);
  EXPECT_EQ(joined.facts.told, 1);
  EXPECT_EQ(joined.facts.same_tokens, 1);
}

TEST(AddExperts, APassThatMissesARowIsEstimated) {
  const std::vector<RequestRecord> requests = Requests();
  const ToldExperts answer{{100, 101, 102}, ScriptedExperts(), ""};
  ToldExperts shorter{{100, 7}, ScriptedExperts(), ""};  // the second run went another way and ended sooner
  shorter.experts.rows = 6;
  shorter.experts.ids.resize(6 * 2 * 2);
  const Joined joined = Join(requests, {&answer, &shorter});
  ASSERT_TRUE(joined.status.ok());
  EXPECT_EQ(joined.passes.passes[2].distinct_experts_source, Source::kServerReported);
  EXPECT_EQ(joined.passes.passes[3].distinct_experts_source, Source::kEstimated);
  EXPECT_FALSE(joined.passes.passes[3].distinct_experts.empty());
  EXPECT_EQ(joined.facts.told, 0.75);
  EXPECT_EQ(joined.facts.same_tokens, 0.5);
}

TEST(AddExperts, NobodyTold) {
  const std::vector<RequestRecord> requests = Requests();
  const Joined joined = Join(requests, {nullptr, nullptr});
  ASSERT_TRUE(joined.status.ok());
  EXPECT_EQ(joined.passes.passes[0].distinct_experts_source, Source::kEstimated);
  EXPECT_FALSE(joined.facts.told.has_value());
}

TEST(AddExperts, ASheetOfTheModelSaysMoreThanItsShape) {
  routing::ActivationSheet sheet{"small", "sglang", 4, 2, {}};
  for (const auto& popularity : {std::vector<double>{0.5, 0.5, 0, 0}, {0.25, 0.25, 0.25, 0.25}}) {
    sheet.layers.push_back({});
    sheet.layers.back().popularity = popularity;
  }
  const Joined joined = Join(Requests(), {nullptr, nullptr}, SmallMoe(), &sheet);
  ASSERT_TRUE(joined.status.ok());
  // Passes 0 and 3 are of 5 and 1 tokens of one sequence: two experts take all; else 4 (1 - (1 - 1/2)^n), n = 5^0.6 and 1.
  EXPECT_THAT(joined.passes.passes[0].distinct_experts,
              ElementsAre(2, testing::DoubleNear(4 * (1 - std::pow(0.5, std::pow(5, 0.6))), 1e-12)));
  EXPECT_THAT(joined.passes.passes[3].distinct_experts, ElementsAre(2, 2));
  EXPECT_EQ(joined.passes.passes[0].distinct_experts_source, Source::kEstimated);
}

TEST(AddExperts, DenseLayersAreNoChoice) {
  model::ModelSpec model = SmallMoe();
  model::LayerSpec dense;
  model.layers.insert(model.layers.begin(), dense);
  ToldExperts answer{{100, 101, 102}, {7, 3, 2, {}}, ""};
  for (int row = 0; row < 7; ++row) {
    for (const int id : {0, 0, row % 4, (row + 1) % 4, 0, 1 + row % 3}) answer.experts.ids.push_back(static_cast<uint16_t>(id));
  }
  const Joined joined = Join(Requests(), {&answer, &answer}, model);
  ASSERT_TRUE(joined.status.ok());
  EXPECT_THAT(joined.passes.passes[3].distinct_experts, ElementsAre(2, 2));
}

TEST(AddExperts, RefusesAnotherModel) {
  ToldExperts answer{{}, {7, 5, 2, std::vector<uint16_t>(7 * 5 * 2, 1)}, ""};
  const Joined joined = Join(Requests(), {&answer, &answer});
  ASSERT_FALSE(joined.status.ok());
  EXPECT_THAT(joined.status.error().message, HasSubstr("experts of 5 layers"));
}

}  // namespace
}  // namespace moecap::experiment
