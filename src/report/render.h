// The five layouts of a document (document.h). Equal documents give equal bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/document.h"
#include "report/terminal_options.h"

namespace moecap::report {

// No line is wider than options.width, as long as the key columns of a table and any one other column fit; wide tables are cut
// between column groups. Ends in '\n'.
std::string RenderTerminal(const Document& document, const TerminalOptions& options);

// One page that needs nothing else: no network, no script, no font. Light, dark, phone and print. Well-formed as XML.
std::string RenderHtml(const Document& document);
// The header, main part and footer of that page, for a page with a frame of its own and HtmlStyle() as its style sheet.
std::string RenderHtmlBody(const Document& document);
std::string RenderHtmlSection(const Section& section);  // of it alone
std::string HtmlStyle();

// GitHub's Markdown. Plots are given by their captions and the tables of their figures.
std::string RenderMarkdown(const Document& document);

// Every table, those of plots included, one line a cell: section, table, row group, row, column, unit, value, mark, note.
// RFC 4180 with '\n' line ends. The value is the text of the reports; null is empty; marks are "estimate", "invalid" and
// "best", joined by spaces.
std::string RenderCsv(const Document& document);

// Name (the id of the plot) and standalone SVG of every plot that draws something.
std::vector<std::pair<std::string, std::string>> RenderSvgs(const Document& document);

}  // namespace moecap::report
