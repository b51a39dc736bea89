#include "audit/figure.h"

#include <gtest/gtest.h>

namespace moecap::audit {
namespace {

Figure Of(const char* published, double computed, Relation relation = Relation::kEqual) {
  Figure figure;
  figure.published = ParsePrinted(published).value();
  figure.computed = computed;
  figure.relation = relation;
  return figure;
}

TEST(ParsePrinted, TheLastDigitSaysHowExactANumberIs) {
  EXPECT_DOUBLE_EQ(ParsePrinted("671e9")->half_digit, 0.5e9);
  EXPECT_DOUBLE_EQ(ParsePrinted("14.3e9")->value, 14.3e9);
  EXPECT_DOUBLE_EQ(ParsePrinted("14.3e9")->half_digit, 0.05e9);
  EXPECT_DOUBLE_EQ(ParsePrinted("1.5E+2")->half_digit, 5);
  EXPECT_DOUBLE_EQ(ParsePrinted("2e-3")->half_digit, 0.5e-3);
  EXPECT_DOUBLE_EQ(ParsePrinted("0.5305")->half_digit, 0.00005);
  EXPECT_DOUBLE_EQ(ParsePrinted("-3")->value, -3);
  EXPECT_DOUBLE_EQ(ParsePrinted("8")->half_digit, 0.5);
}

TEST(ParsePrinted, RefusesWhatIsNoNumber) {
  for (const char* text : {"", "nan", "inf", "1e999", "1,040", "18901 GB/s", "0x10", "1e", "--1", "1.2.3", " 1"}) {
    const auto printed = ParsePrinted(text);
    ASSERT_FALSE(printed.ok()) << text;
    EXPECT_EQ(printed.error().kind, ErrorKind::kBadInput);
  }
}

TEST(Judge, RoundingDecides) {
  EXPECT_EQ(Judge(Of("671e9", 671.4e9)), Verdict::kAgrees);
  EXPECT_EQ(Judge(Of("671e9", 671.6e9)), Verdict::kDiffers);
  EXPECT_EQ(Judge(Of("671e9", 670.4e9)), Verdict::kDiffers);
  Figure loose = Of("671e9", 673e9);
  loose.tolerance = 0.003;
  EXPECT_EQ(Judge(loose), Verdict::kAgrees);
  loose.tolerance = 0.002;
  EXPECT_EQ(Judge(loose), Verdict::kDiffers);
}

TEST(Judge, TheEdgeOfTheRoundingCounts) { EXPECT_EQ(Judge(Of("0.57", 0.575)), Verdict::kAgrees); }

TEST(Judge, ARangeAgreesWhenItHoldsThePublishedNumber) {
  Figure figure = Of("0.50", 0.60);
  figure.low = 0.49;
  figure.high = 0.65;
  EXPECT_EQ(Judge(figure), Verdict::kAgrees);
  figure.low = 0.51;
  EXPECT_EQ(Judge(figure), Verdict::kDiffers);
  figure.low = 0.30;
  figure.high = 0.49;
  EXPECT_EQ(Judge(figure), Verdict::kDiffers);
}

TEST(Judge, BoundsAreOpenWhereOnlyRoundingWouldKeepThem) {
  EXPECT_EQ(Judge(Of("0.01", 0.004, Relation::kAtMost)), Verdict::kAgrees);
  EXPECT_EQ(Judge(Of("0.01", 0.016, Relation::kAtMost)), Verdict::kDiffers);
  Figure open = Of("0.01", 0.11, Relation::kAtMost);
  open.low = 0.0;
  open.high = 0.3;
  EXPECT_EQ(Judge(open), Verdict::kNotComputable);
  EXPECT_EQ(Judge(Of("2.60", 2.7, Relation::kOver)), Verdict::kAgrees);
  EXPECT_EQ(Judge(Of("2.60", 2.5, Relation::kOver)), Verdict::kDiffers);
}

TEST(Judge, WordsAndMissingSides) {
  Figure words;
  words.published_text = "PA";
  EXPECT_EQ(Judge(words), Verdict::kNotComputable);
  words.computed_text = "PC";
  EXPECT_EQ(Judge(words), Verdict::kDiffers);
  words.computed_text = "PA";
  EXPECT_EQ(Judge(words), Verdict::kAgrees);
  Figure ours;
  ours.computed = 1;
  EXPECT_EQ(Judge(ours), Verdict::kNone);
  Figure theirs;
  theirs.published = Printed{1, 0.5};
  EXPECT_EQ(Judge(theirs), Verdict::kNotComputable);
}

TEST(ClaimReport, TheWorstFigureDecides) {
  ClaimReport report;
  EXPECT_EQ(report.Overall(), Verdict::kNotComputable);
  report.figures = {Of("1", 1)};
  EXPECT_EQ(report.Overall(), Verdict::kAgrees);
  Figure missing;
  missing.published = Printed{1, 0.5};
  report.figures.push_back(missing);
  EXPECT_EQ(report.Overall(), Verdict::kNotComputable);
  report.figures.push_back(Of("1", 7));
  EXPECT_EQ(report.Overall(), Verdict::kDiffers);
}

TEST(Differences, AreNullWhereASideIsMissing) {
  EXPECT_DOUBLE_EQ(*Difference(Of("4", 5)), 1);
  EXPECT_DOUBLE_EQ(*RelativeDifference(Of("-4", -5)), -0.25);
  EXPECT_FALSE(RelativeDifference(Of("0", 5)).has_value());
  EXPECT_FALSE(Difference(Figure()).has_value());
}

TEST(FormatFigure, ShowsUnitsAndNoEmptyDigits) {
  EXPECT_EQ(FormatFigure(671.0264e9, Unit::kParams), "671B");
  EXPECT_EQ(FormatFigure(1571.3e9, Unit::kParams), "1571B");
  EXPECT_EQ(FormatFigure(0.5305, Unit::kShare), "53.05 %");
  EXPECT_EQ(FormatFigure(18901e9, Unit::kBytesPerS), "18901 GB/s");
  EXPECT_EQ(FormatFigure(0.058, Unit::kSeconds), "58 ms");
  EXPECT_EQ(FormatFigure(0, Unit::kCount), "0");
  EXPECT_EQ(FormatFigure(1e300, Unit::kWatts), "1e+300 W");
}

}  // namespace
}  // namespace moecap::audit
