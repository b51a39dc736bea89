// Pieces that the sections of the page share. Internal to report/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/charts.h"
#include "report/figures.h"

namespace moecap::report {

// <ul class="css">, empty for no items.
std::string HtmlItems(const char* css, const std::vector<std::string>& items);

// Adds a cell of a table. A phone shows the rows one below the other, each value under its label; a table that fits there needs
// none. `css`: class, may be empty.
void AppendCell(std::string& out, std::string_view escaped_label, const std::string& value, std::string_view css = {});

// Rows of escaped text under a header; the first column names the row. `words` are the columns that hold sentences.
std::string HtmlTable(std::string_view caption, const std::vector<std::string>& head,
                      const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& words = {});

// The chart's figures, folded away.
std::string HtmlFigureTable(const Chart& chart);

// The chart, its reading, and its figures folded away.
std::string HtmlFigure(const Chart& chart);
std::string HtmlFigures(const char* css, const std::vector<Chart>& charts);

// Sections of the page, each with its heading; empty when there is nothing to say.
std::string HtmlCapSection(const RunSummary& summary);
std::string HtmlTradeOffSection(const RunSummary& summary);
std::string HtmlDecisionSection(const RunSummary& summary);
std::string HtmlCostSection(const RunSummary& summary);

}  // namespace moecap::report
