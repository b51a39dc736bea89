#include "routing/routed_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "routing/npy.h"
#include "routing/npy_test_writer.h"
#include "routing/routed_answer.h"

namespace moecap::routing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(Base64, Decodes) {
  EXPECT_EQ(*DecodeBase64("aGVsbG8="), "hello");
  EXPECT_EQ(*DecodeBase64("aGVs\nbG8"), "hello");
  EXPECT_EQ(*DecodeBase64(""), "");
  EXPECT_FALSE(DecodeBase64("a").ok());
  EXPECT_FALSE(DecodeBase64("a*bc").ok());
  EXPECT_FALSE(DecodeBase64("ab=c").ok());
  for (size_t length = 0; length < 40; ++length) {
    std::string bytes;
    for (size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(37 * i + 250));
    EXPECT_EQ(*DecodeBase64(EncodeBase64(bytes)), bytes);
  }
}

TEST(Npy, ReadsEveryIntegerTypeAndVersion) {
  const auto values = [](const std::string& file) {
    const auto array = ParseNpy(Bytes(file));
    EXPECT_TRUE(array.ok()) << (array.ok() ? "" : array.error().message);
    std::vector<int64_t> read;
    for (int64_t i = 0; array.ok() && i < array->size; ++i) read.push_back(array->At(i));
    return read;
  };
  EXPECT_THAT(values(Npy<uint8_t>("|u1", {2}, {1, 255})), ElementsAre(1, 255));
  EXPECT_THAT(values(Npy<int8_t>("|i1", {2}, {1, -1})), ElementsAre(1, -1));
  EXPECT_THAT(values(Npy<uint16_t>("<u2", {2}, {1, 65535}, 2)), ElementsAre(1, 65535));
  EXPECT_THAT(values(Npy<int16_t>("<i2", {1, 2}, {1, -1}, 3)), ElementsAre(1, -1));
  EXPECT_THAT(values(Npy<int32_t>("<i4", {2, 1}, {1, -100000})), ElementsAre(1, -100000));
  EXPECT_THAT(values(Npy<int64_t>("<i8", {1}, {-3})), ElementsAre(-3));
  EXPECT_THAT(values(Npy<int64_t>("<i8", {1}, {int64_t{1} << 40})), ElementsAre(int64_t{1} << 40));
  EXPECT_THAT(values(Npy<uint32_t>("<u4", {1}, {4000000000})), ElementsAre(4000000000));
  EXPECT_THAT(values(Npy<int64_t>("<i8", {0, 5}, {})), ElementsAre());
  const auto error = [](const std::string& file) { return ParseNpy(Bytes(file)).error().message; };
  EXPECT_THAT(error(Npy<float>("<f4", {1}, {1})), HasSubstr("<f4"));
  EXPECT_THAT(error(Npy<uint8_t>("|u1", {3}, {1})), HasSubstr("cut off"));
  EXPECT_THAT(error(Npy<uint8_t>("|u1", {int64_t{1} << 40, int64_t{1} << 40}, {1})), HasSubstr("impossible shape"));
  EXPECT_THAT(error("\x93NUMPY\x01"), HasSubstr("not a .npy"));
}

// [3 tokens][2 layers][2]; layer 0 is dense.
const std::vector<int32_t> kIds = {0, 0, 1, 2, 0, 0, 3, 1, 0, 0, 2, 0};

std::string Raw(const std::vector<int32_t>& ids) {
  std::string bytes;
  for (const int32_t id : ids) bytes += LittleEndian(id);
  return EncodeBase64(bytes);
}

std::string ErrorOf(std::string_view encoded, const RoutedShape& shape = {}) {
  const auto experts = DecodeRoutedExperts(encoded, shape);
  EXPECT_FALSE(experts.ok()) << encoded;
  return experts.ok() ? "" : experts.error().message;
}

TEST(RoutedExperts, EveryEncodingSaysTheSame) {
  const std::vector<int32_t> transposed = {0, 0, 0, 1, 3, 2, 0, 0, 0, 2, 1, 0};  // the first index runs fastest
  std::string fortran = Npy("<i4", {3, 2, 2}, transposed);
  fortran.replace(fortran.find("False"), 5, "True ");
  const std::vector<std::string> encodings = {
      EncodeBase64(Npy("|u1", {3, 2, 2}, std::vector<uint8_t>(kIds.begin(), kIds.end()))),
      EncodeBase64(Npy("<u2", {3, 2, 2}, std::vector<uint16_t>(kIds.begin(), kIds.end()))),
      EncodeBase64(Npy("<i4", {3, 2, 2}, kIds, 2)),
      EncodeBase64(Npy("<i8", {3, 2, 2}, std::vector<int64_t>(kIds.begin(), kIds.end()))),
      EncodeBase64(fortran),
      Raw(kIds),
      " [[[0,0],[1, 2]],\n[[0,0],[3,1]],[[0,0],[2,0]]] ",
  };
  for (const std::string& encoded : encodings) {
    const auto experts = DecodeRoutedExperts(encoded, {.layers = 2, .top_k = 2, .experts = 4, .rows = 3});
    ASSERT_TRUE(experts.ok()) << encoded << experts.error().message;
    EXPECT_EQ(experts->rows, 3);
    EXPECT_EQ(experts->layers, 2);
    EXPECT_EQ(experts->top_k, 2);
    EXPECT_THAT(experts->ids, testing::ElementsAreArray(kIds));
    EXPECT_THAT(experts->Ids(1, 1), ElementsAre(3, 1));
    EXPECT_FALSE(experts->IsChoice(1, 0)) << "a dense layer";
    EXPECT_TRUE(experts->IsChoice(1, 1));
  }
}

TEST(RoutedExperts, TwoFiguresOfTheRawFormGiveTheThird) {
  for (const RoutedShape& shape :
       {RoutedShape{.layers = 2, .top_k = 2}, RoutedShape{.layers = 2, .rows = 3}, RoutedShape{.top_k = 2, .rows = 3}}) {
    const auto experts = DecodeRoutedExperts(Raw(kIds), shape);
    ASSERT_TRUE(experts.ok()) << experts.error().message;
    EXPECT_EQ(experts->rows, 3);
    EXPECT_EQ(experts->layers, 2);
    EXPECT_EQ(experts->top_k, 2);
  }
  EXPECT_THAT(ErrorOf(Raw(kIds)), HasSubstr("name the model"));
  EXPECT_THAT(ErrorOf(Raw(kIds), {.rows = 3}), HasSubstr("name the model"));
  EXPECT_THAT(ErrorOf(Raw(kIds), {.layers = 5, .top_k = 2}), HasSubstr("another model?"));
  EXPECT_THAT(ErrorOf(Raw(kIds), {.layers = 4, .top_k = 4}), HasSubstr("another model?"));
}

TEST(RoutedExperts, WhatIsNotRecordedIsNoChoice) {
  const auto experts = DecodeRoutedExperts("[[[1,2]],[[-1,-1]],[[3,3]]]");
  ASSERT_TRUE(experts.ok()) << experts.error().message;
  EXPECT_THAT(experts->ids, ElementsAre(1, 2, kNoExpert, kNoExpert, 3, 3));
  EXPECT_TRUE(experts->IsChoice(0, 0));
  EXPECT_FALSE(experts->IsChoice(1, 0));
  EXPECT_FALSE(experts->IsChoice(2, 0));
}

TEST(RoutedExperts, ErrorsSayWhatIsWrong) {
  const std::string npy = EncodeBase64(Npy("<i4", {3, 2, 2}, kIds));
  EXPECT_THAT(ErrorOf(npy, {.experts = 3}), HasSubstr("expert 3, but there are 3"));
  EXPECT_THAT(ErrorOf(npy, {.rows = 4}), HasSubstr("3 tokens (prompt and output, less 1), expected were 4"));
  EXPECT_THAT(ErrorOf(npy, {.layers = 3}), HasSubstr("2 layers"));
  EXPECT_THAT(ErrorOf(npy, {.top_k = 3}), HasSubstr("2 experts per token"));
  EXPECT_THAT(ErrorOf(EncodeBase64(Npy("<i4", {12}, kIds))), HasSubstr("[tokens, layers, experts per token]"));
  EXPECT_THAT(ErrorOf(EncodeBase64(Npy("<i4", {0, 2, 2}, kIds))), HasSubstr("cannot be"));
  EXPECT_THAT(ErrorOf("[[[70000]]]"), HasSubstr("expert 70000"));
  EXPECT_THAT(ErrorOf("ray-key-17"), HasSubstr("object-store key"));
  EXPECT_THAT(ErrorOf("abcd", {.layers = 1, .top_k = 1}), HasSubstr("32-bit"));
  EXPECT_THAT(ErrorOf(" "), HasSubstr("empty"));
  for (const char* list : {"[", "[[", "[[[", "[[[1", "[[[1]", "[[[1]]", "[[[1]]]]", "[[1]]", "[1]", "[[[1],[2,3]]]",
                           "[[[1]],[[1],[1]]]", "[[[]]]", "[[[1.5]]]", "[[[1e1]]]", "[[[\"1\"]]]", "[[[1],]]", "[[[1 2]]]"})
    ErrorOf(list);
}

TEST(RoutedExperts, MoreThanTheBoundIsRefusedInWords) {
  EXPECT_THAT(ErrorOf(std::string(kMostEncodedBytes + 1, 'A'), {.layers = 2, .top_k = 2}),
              HasSubstr("ask for shorter answers"));
}

TEST(RoutedSurvey, FindsDenseLayersMissingRowsAndOtherModels) {
  RoutedSurvey survey;
  EXPECT_FALSE(survey.any_used());
  ASSERT_TRUE(survey.Add(*DecodeRoutedExperts("[[[0,0],[1,2]],[[0,0],[-1,-1]],[[0,0],[5,3]]]")).ok());
  EXPECT_THAT(survey.used(), ElementsAre(false, true));
  EXPECT_EQ(survey.highest_id(), 5);
  EXPECT_EQ(survey.missing_rows(), 1);
  EXPECT_FALSE(survey.layers_alike());
  EXPECT_THAT(survey.Add(*DecodeRoutedExperts("[[[0,1]]]")).error().message, HasSubstr("another model?"));
}

TEST(RoutedSurvey, ATopOneOfZerosIsNoUse) {
  RoutedSurvey survey;
  ASSERT_TRUE(survey.Add(*DecodeRoutedExperts("[[[0],[0]],[[0],[1]]]")).ok());
  EXPECT_THAT(survey.used(), ElementsAre(false, true));
}

TEST(RoutedSurvey, LayersOfDummyWeightsAreAlike) {
  std::string alike, apart;
  for (int row = 0; row < 40; ++row) {
    const int a = row % 7, b = 7 + row % 3;
    alike += fmt::format("{}[[{},{}],[0,0],[{},{}]]", row == 0 ? "[" : ",", a, b, a, b);
    apart += fmt::format("{}[[{},{}],[0,0],[{},{}]]", row == 0 ? "[" : ",", a, b, b, (a + 1) % 5);
  }
  RoutedSurvey same, other;
  ASSERT_TRUE(same.Add(*DecodeRoutedExperts(alike + "]")).ok());
  ASSERT_TRUE(other.Add(*DecodeRoutedExperts(apart + "]")).ok());
  EXPECT_TRUE(same.layers_alike());
  EXPECT_FALSE(other.layers_alike());
  EXPECT_FALSE(AllLayersAlike({})) << "nothing";
  const std::vector<std::vector<int64_t>> all_experts = {{40, 40}, {40, 40}}, few = {{3, 1}, {3, 1}};
  EXPECT_FALSE(AllLayersAlike(all_experts)) << "every token uses every expert";
  EXPECT_FALSE(AllLayersAlike(few)) << "may be chance";
}

std::vector<RoutedAnswer> Answers(std::string_view text) {
  auto answers = ReadRoutedAnswers(text);
  EXPECT_TRUE(answers.ok()) << (answers.ok() ? "" : answers.error().message);
  return answers.ok() ? *std::move(answers) : std::vector<RoutedAnswer>();
}

TEST(RoutedAnswer, OfVllm) {
  const auto answers = Answers(
      R"({"id":"c","model":"m","choices":[{"index":0,"text":"x","token_ids":[7,8],"prompt_token_ids":[1,2],)"
      R"("routed_experts":"k05VTVBZ"}],"usage":{"prompt_tokens":2,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}})");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].id, "c");
  EXPECT_EQ(answers[0].model, "m");
  EXPECT_EQ(answers[0].prompt_tokens, 2);
  EXPECT_EQ(answers[0].output_tokens, 2);
  EXPECT_EQ(answers[0].cached_tokens, 1);
  EXPECT_THAT(answers[0].prompt_ids, ElementsAre(1, 2));
  EXPECT_THAT(answers[0].output_ids, ElementsAre(7, 8));
  EXPECT_EQ(answers[0].routes, "k05VTVBZ");
}

TEST(RoutedAnswer, OfSglangInEveryPlace) {
  for (
      const char* text : {
          R"({"text":"x","output_ids":[7],"meta_info":{"id":"a","prompt_tokens":3,"completion_tokens":1,"weight_version":"w","routed_experts":"AA=="}})",
          R"({"id":"a","choices":[{"text":"x"}],"usage":{"prompt_tokens":3,"completion_tokens":1},"sglext":{"routed_experts":"AA=="}})",
          R"({"id":"a","choices":[{"text":"x","sgl_ext":{"routed_experts":"AA=="}}],"usage":{"prompt_tokens":3,"completion_tokens":1}})",
          R"({"id":"a","choices":[{"text":"x","meta_info":{"routed_experts":"AA=="}}],"usage":{"prompt_tokens":3,"completion_tokens":1}})",
      }) {
    const auto answers = Answers(text);
    ASSERT_EQ(answers.size(), 1u) << text;
    EXPECT_EQ(answers[0].id, "a");
    EXPECT_EQ(answers[0].routes, "AA==") << text;
    EXPECT_EQ(answers[0].prompt_tokens, 3);
    EXPECT_EQ(answers[0].output_tokens, 1);
  }
}

TEST(RoutedAnswer, OfStreams) {
  const auto answers = Answers(
      "data: {\"id\":\"a\",\"choices\":[{\"text\":\"x\"}]}\n\n"
      "data: {\"id\":\"a\",\"choices\":[],\"sglext\":{\"routed_experts\":\"AA==\"}}\r\n\r\n"
      ": keep alive\n\n"
      "data: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
      "data: {\"text\":\"x\",\"output_ids\":[1],\"meta_info\":{\"id\":\"b\",\"prompt_tokens\":4,\"completion_tokens\":1}}\n\n"
      "data: {\"text\":\"xy\",\"output_ids\":[1,2],\"meta_info\":{\"id\":\"b\",\"prompt_tokens\":4,\"completion_tokens\":2,"
      "\"routed_experts\":\"BB==\"}}\n\ndata: [DONE]\n");
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].routes, "AA==");
  EXPECT_EQ(answers[0].output_tokens, 2);
  EXPECT_EQ(answers[1].routes, "BB==");
  EXPECT_EQ(answers[1].prompt_tokens, 4);
  EXPECT_EQ(answers[1].output_tokens, 2);
}

TEST(RoutedAnswer, OfSeveralChoices) {
  const auto answers =
      Answers(R"({"id":"c","choices":[{"token_ids":[1],"routed_experts":"A"},{"token_ids":[2,3],"routed_experts":"B"}],)"
              R"("usage":{"prompt_tokens":2,"completion_tokens":3}})");
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].routes, "B");
  EXPECT_EQ(answers[1].prompt_tokens, 2);
  EXPECT_FALSE(answers[1].output_tokens) << "the sum over the choices";
  EXPECT_EQ(answers[1].output_ids.size(), 2u);
}

TEST(RoutedAnswer, RowsAreHeldAgainstTheUsage) {
  RoutedAnswer answer;
  answer.routes = "[[[1]],[[2]]]";
  EXPECT_TRUE(ExpertsOf(answer).ok()) << "nothing to hold it against";
  answer.prompt_tokens = 2;
  answer.output_tokens = 1;
  EXPECT_TRUE(ExpertsOf(answer).ok());
  answer.output_tokens = 2;
  EXPECT_THAT(ExpertsOf(answer).error().message, HasSubstr("expected were 3"));
  EXPECT_TRUE(ExpertsOf(answer, {.rows = 2}).ok());
  answer.prompt_routes = "[[[0]]]";
  const auto experts = ExpertsOf(answer);
  ASSERT_TRUE(experts.ok()) << experts.error().message;
  EXPECT_THAT(experts->ids, ElementsAre(0, 1, 2));
}

TEST(RoutedAnswer, BrokenTextIsAnErrorWithItsLine) {
  const auto error = [](std::string_view text) {
    const auto answers = ReadRoutedAnswers(text);
    return answers.ok() ? "" : answers.error().message;
  };
  EXPECT_THAT(error("{\"choices\":[]}\n{bad"), HasSubstr("line 2"));
  EXPECT_THAT(error("[1]"), HasSubstr("no object"));
  EXPECT_THAT(error("7"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error(""), HasSubstr("empty"));
  EXPECT_THAT(error(R"({"usage":{"prompt_tokens":-1}})"), HasSubstr("members"));
}

}  // namespace
}  // namespace moecap::routing
