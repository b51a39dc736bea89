#include "trace/pass_loads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/importers.h"

namespace moecap::trace {
namespace {

using testing::ElementsAre;

TEST(PassLoads, IdsAndCountsOfEachPass) {
  TraceHeader header;
  header.experts = 3;
  header.top_k = 2;
  header.layer_numbers = {0, 1};
  TracePass prompt;
  prompt.kind = record::PassKind::kPrefill;
  prompt.tokens = 2;
  prompt.ids = {0, 1, 0, 2, /* layer 1 */ 1, 2, kNoExpert, kNoExpert};
  TracePass decode;
  decode.kind = record::PassKind::kDecode;
  decode.tokens = 1;
  decode.ids = {2, 1, 0, 1};
  const auto source = [&] {
    return IndexedSource(header, 2, [&](size_t index, TracePass& pass) {
      pass = index == 0 ? prompt : decode;
      return Status();
    });
  };
  auto all = source(), one = source(), cut = source();
  const auto loads = CollectLoads(all, std::nullopt);
  ASSERT_TRUE(loads.ok()) << loads.error().message;
  ASSERT_EQ(loads->passes.size(), 2u);
  EXPECT_THAT(loads->passes[0], ElementsAre(2, 1, 1, 0, 1, 1));
  EXPECT_THAT(loads->passes[1], ElementsAre(0, 1, 1, 1, 1, 0));
  EXPECT_EQ(CollectLoads(one, record::PassKind::kDecode)->passes.size(), 1u);
  const auto begin = CollectLoads(cut, std::nullopt, 6);
  EXPECT_TRUE(begin->cut);
  EXPECT_EQ(begin->passes.size(), 1u);
}

}  // namespace
}  // namespace moecap::trace
