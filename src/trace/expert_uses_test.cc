#include "trace/expert_uses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/importers.h"

namespace moecap::trace {
namespace {

using testing::ElementsAre;

TracePass OfTwoExperts(record::PassKind kind, std::vector<uint16_t> ids) {
  TracePass pass;
  pass.kind = kind;
  pass.tokens = static_cast<int64_t>(ids.size()) / 2;
  pass.ids = std::move(ids);
  return pass;
}

TEST(ExpertUses, EachExpertOfAPassOnceAndDecodePassesAlone) {
  TraceHeader header;
  header.experts = 4;
  header.top_k = 2;
  header.layer_numbers = {3};
  const std::vector<TracePass> passes = {OfTwoExperts(record::PassKind::kPrefill, {0, 1, 2, 3}),
                                         OfTwoExperts(record::PassKind::kDecode, {3, 1, 1, 2}),
                                         OfTwoExperts(record::PassKind::kDecode, {0, 1, 0, 1})};
  const auto make = [&](size_t count) {
    return IndexedSource(header, count, [&](size_t index, TracePass& pass) {
      pass = passes[index];
      return Status();
    });
  };
  auto whole = make(3);
  const auto uses = CollectUses(whole);
  ASSERT_TRUE(uses.ok()) << uses.error().message;
  EXPECT_TRUE(uses->decoded);
  EXPECT_EQ(uses->passes, 2);
  EXPECT_DOUBLE_EQ(uses->distinct, 2.5);
  EXPECT_THAT(uses->uses[0], ElementsAre(1, 2, 3, 0, 1));
  auto prompt = make(1);
  EXPECT_THAT(CollectUses(prompt)->uses[0], ElementsAre(0, 1, 2, 3));
  header.passes_known = false;
  auto tokens = make(1);
  EXPECT_EQ(CollectUses(tokens)->passes, 2) << "each token is a pass of its own";
}

}  // namespace
}  // namespace moecap::trace
