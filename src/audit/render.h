// The reports of claim files as text, Markdown and JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "audit/figure.h"
#include "base/json.h"

namespace moecap::audit {

struct FileReport {
  std::string file, publication, title;
  std::vector<ClaimReport> claims;
};

struct Counts {
  size_t agrees = 0, differs = 0, not_computable = 0;
};
Counts CountClaims(const std::vector<FileReport>& reports);
// Of the single figures; those of ours alone are not counted.
Counts CountFigures(const std::vector<FileReport>& reports);

// "published", "computed", "difference" as the tables show them; "-" for what is not known, "~" before an estimate.
std::string PublishedText(const Figure& figure);
std::string ComputedText(const Figure& figure);
std::string DifferenceText(const Figure& figure);

// Terminal text, no line wider than `width` cells: a table, then the reasons of each claim.
std::string RenderText(const FileReport& report, size_t width, bool unicode);
std::string RenderMarkdown(const std::vector<FileReport>& reports);
// "12 claims agree, 3 differ, 4 cannot be computed here."; `what` may be empty.
std::string Sentence(const Counts& counts, std::string_view what);

// Keys in docs/audit.md.
Json ToJson(const std::vector<FileReport>& reports);

}  // namespace moecap::audit
