// A comparison as text tables and lines: one definition that the terminal, Markdown and HTML renderers lay out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cap/comparison.h"

namespace moecap::report {

struct ComparisonColumn {
  std::string group;  // heading over neighbours; may be empty
  std::string header;
  bool words = false;  // left-aligned
};

// Row i is about system i; the system's name is not among the columns.
struct ComparisonTable {
  std::string title;
  std::vector<ComparisonColumn> columns;
  std::vector<std::vector<std::string>> rows;
};

// One table an axis: figure, interval, difference to the baseline, verdict.
std::vector<ComparisonTable> FigureTables(const cap::Comparison& comparison);
// Scores in both normalisations, class, its support, front, hypervolume share.
ComparisonTable ScoreTable(const cap::Comparison& comparison);

// "3 systems of 1 run, scenario online at concurrency 16"
std::string Headline(const cap::Comparison& comparison);
// Label and text: the runs, and what the comparison rests on.
std::vector<std::pair<std::string, std::string>> DescribeComparison(const cap::Comparison& comparison);
// "F16 (dominated, in 82 % of resamples; else CA 18 %): Q8_0 is ..."
std::string ClassSentence(const cap::ComparedSystem& system);
// Fronts in two and three dimensions, and the hypervolume.
std::vector<std::string> FrontLines(const cap::Comparison& comparison);
// The paper's decision matrix beside the measured rankings; empty when no row fits.
std::vector<std::string> AdviceLines(const cap::Comparison& comparison);
// What each figure's noise, verdict and score mean, with the limits and decades of the robust scores.
std::vector<std::string> MethodLines(const cap::Comparison& comparison);
// Why systems have no figures.
std::vector<std::string> InvalidLines(const cap::Comparison& comparison);

// The scores of the radar, in the normalisation that was chosen.
std::vector<cap::CapScores> DrawnScores(const cap::Comparison& comparison);

// The same comparison with every text safe to print.
cap::Comparison Printable(cap::Comparison comparison);

}  // namespace moecap::report
