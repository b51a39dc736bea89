#include "audit/claim_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/render.h"

namespace moecap::audit {
namespace {
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kHead = "publication: P\ntitle: T\nclaims:\n";
constexpr const char* kShare =
    "  - id: a\n    source: Table 1\n    kind: activated_share\n    model: m\n    batch: 8\n    published: {activated_share: "
    "0.5}\n";

std::string ErrorOf(const std::string& text) {
  const auto file = ParseClaimFile(text, "c.yaml");
  EXPECT_FALSE(file.ok()) << text;
  if (file.ok()) return "";
  EXPECT_EQ(file.error().kind, ErrorKind::kBadInput);
  return file.error().message;
}

TEST(ClaimFile, ReadsClaimsWithTheLinesOfTheirNames) {
  const auto file = ParseClaimFile(std::string(kHead) + kShare, "c.yaml");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->publication, "P");
  EXPECT_EQ(file->title, "T");
  ASSERT_EQ(file->claims.size(), 1u);
  EXPECT_EQ(file->claims[0].kind, "activated_share");
  const auto& inputs = std::get<ActivatedShare>(file->claims[0].inputs);
  EXPECT_EQ(inputs.batch, 8);
  EXPECT_EQ(inputs.model.line, 7);
  EXPECT_DOUBLE_EQ(inputs.activated_share.half_digit, 0.05);
}

TEST(ClaimFile, UnknownKindNamesTheKnownOnes) {
  EXPECT_THAT(
      ErrorOf(std::string(kHead) + "  - id: a\n    source: s\n    kind: activated_shares\n"),
      AllOf(StartsWith("c.yaml:6: unknown kind \"activated_shares\"; known: "), HasSubstr("activated_share, batch_limit")));
}

TEST(ClaimFile, MissingAndUnknownKeys) {
  EXPECT_EQ(ErrorOf(std::string(kHead) +
                    "  - id: a\n    source: s\n    kind: activated_share\n    published: {activated_share: 1}\n"),
            "c.yaml:4: \"model\" is missing in an entry of \"claims\"");
  EXPECT_EQ(ErrorOf(std::string(kHead) + kShare + "    bach: 4\n"),
            "c.yaml:10: unknown key \"bach\" in an entry of \"claims\"; did you mean \"batch\"?");
  EXPECT_THAT(ErrorOf(std::string(kHead) + kShare + "    batch: 4\n"), StartsWith("c.yaml:10: \"batch\" is given twice"));
  EXPECT_EQ(ErrorOf("publication: P\ntitle: T\n"), "c.yaml:1: \"claims\" is missing in the claim file");
  EXPECT_EQ(ErrorOf(""), "c.yaml: the claim file is empty");
}

TEST(ClaimFile, WrongUnits) {
  const std::string power = std::string(kHead) + "  - id: a\n    source: s\n    kind: device_power\n    device: d\n";
  EXPECT_EQ(ErrorOf(power + "    published: {tdp_kw: 10.2}\n"),
            "c.yaml:8: \"tdp_kw\" in \"published\" of an entry of \"claims\" has another unit than this program reads; give "
            "\"tdp_w\"");
  EXPECT_EQ(ErrorOf(power + "    published: {tdp_w: 450 W}\n"),
            "c.yaml:8: \"tdp_w\" must be a plain number (its unit, \"w\", is in the key), not \"450 W\"");
}

TEST(ClaimFile, ValuesOutOfRange) {
  const std::string start = std::string(kHead) + "  - id: a\n    source: s\n";
  EXPECT_THAT(ErrorOf(start + "    kind: activated_share\n    model: m\n    batch: 0\n    published: {activated_share: 0.5}\n"),
              StartsWith("c.yaml:8: \"batch\" is 0; it must be at least 1"));
  EXPECT_THAT(
      ErrorOf(start + "    kind: activated_share\n    model: m\n    batch: 1.5\n    published: {activated_share: 0.5}\n"),
      HasSubstr("must be a whole number"));
  EXPECT_THAT(ErrorOf(start + "    kind: ratio\n    numerator: 1\n    denominator: 0\n    published: {ratio: 2}\n"),
              HasSubstr("\"denominator\" must be more than half of its last digit"));
  EXPECT_THAT(ErrorOf(start + "    kind: ratio\n    numerator: 1\n    denominator: 2\n    published: {ratio: 2, saving: 1}\n"),
              HasSubstr("exactly one of ratio, saving and increase"));
  EXPECT_THAT(
      ErrorOf(start + "    kind: vanilla_overestimate\n    model: m\n    batches: [4, 2]\n    published: {overestimate: 2}\n"),
      HasSubstr("ascending order"));
  EXPECT_THAT(
      ErrorOf(start +
              "    kind: vanilla_overestimate\n    model: m\n    batches: [2, 1e300]\n    published: {overestimate: 2}\n"),
      HasSubstr("whole numbers of at most 1e+09"));
  EXPECT_THAT(
      ErrorOf(start + "    tolerance: 0.9\n    kind: ratio\n    numerator: 1\n    denominator: 2\n    published: {ratio: 2}\n"),
      HasSubstr("at most 0.5"));
  EXPECT_THAT(ErrorOf(start + "    kind: not_computable\n    published: x\n    missing: []\n"), HasSubstr("list of texts"));
  EXPECT_THAT(ErrorOf(start + "    kind: device_power\n    device: d\n    published: 4\n"), HasSubstr("must be a mapping"));
}

TEST(ClaimFile, RepeatedIdsAndBrokenYaml) {
  EXPECT_THAT(ErrorOf(std::string(kHead) + kShare + kShare), StartsWith("c.yaml:10: two claims have the id \"a\""));
  EXPECT_THAT(ErrorOf("claims: [\n"), AllOf(StartsWith("c.yaml:"), HasSubstr("not valid YAML")));
  EXPECT_THAT(ErrorOf("[1, 2]"), HasSubstr("must be a mapping"));
}

FileReport Sample() {
  ClaimReport claim;
  claim.id = "first|claim";
  claim.source = "Table 9";
  Figure figure;
  figure.quantity = "a quantity with a name that is far too long for a narrow terminal";
  figure.unit = Unit::kParams;
  figure.published = Printed{671e9, 0.5e9};
  figure.computed = 700e9;
  figure.estimated = true;
  claim.figures = {figure};
  claim.reasons = {"Because of a reason that is long enough to be wrapped once or even twice on a terminal of eighty columns."};
  claim.missing = {"this", "that"};
  return {"f.yaml", "P", "T", {claim}};
}

TEST(Render, TextFitsTheTerminal) {
  for (const size_t width : {60u, 80u}) {
    const std::string text = RenderText(Sample(), width, false);
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = text.find('\n', begin);
      EXPECT_LE(end - begin, width) << text.substr(begin, end - begin);
      begin = end + 1;
    }
    EXPECT_THAT(text, HasSubstr("~700B"));
    EXPECT_THAT(text, HasSubstr("+4.32 %"));
    EXPECT_THAT(text, HasSubstr("differs"));
    EXPECT_THAT(text, HasSubstr("this; that"));
  }
}

TEST(Render, MarkdownEscapesCells) {
  const std::string text = RenderMarkdown({Sample()});
  EXPECT_THAT(text, HasSubstr("**first\\|claim**"));
  EXPECT_THAT(text, HasSubstr("0 claims agree, 1 differ, 0 cannot be computed here."));
}

}  // namespace
}  // namespace moecap::audit
