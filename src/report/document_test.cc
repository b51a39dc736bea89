// The document model and its renderers, from one sample with every kind of block and hostile names.
#include "report/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/table.h"
#include "report/render.h"
#include "report/svg_inspect.h"
#include "report/testing/document_sample.h"

namespace moecap::report {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

Document WithTable(Table table) {
  Document document{.title = "t"};
  document.sections.push_back({.heading = "s", .detail = Detail::kFirstScreen, .blocks = {std::move(table)}});
  return document;
}

Table Figures() {
  Table table{.title = "Figures"};
  table.columns = {
      {.header = "name", .kind = ColumnKind::kKey}, {.header = "value"}, {.header = "why", .kind = ColumnKind::kText}};
  return table;
}

TEST(Document, UnitsStandWhereTheyAreShared) {
  Table table;
  table.columns = {{.header = "key", .kind = ColumnKind::kKey},
                   {"p50", "TTFT", "ms"},
                   {"p99", "TTFT", "ms"},
                   {"mean", "power", "W"},
                   {"all", "power", "J"},
                   {"speed", "", "tokens/s"}};
  table.rows = {{"a", "1", "2", "3", "4", "5"}};
  EXPECT_THAT(RenderMarkdown(WithTable(table)),
              HasSubstr("| key | TTFT (ms) p50 | TTFT (ms) p99 | power mean (W) | power all (J) | speed (tokens/s) |"));
}

TEST(Document, ColumnsAreAddedToRowsAndDroppedWithoutFigures) {
  Table table = Figures();
  table.columns.resize(1);
  table.rows = {{"a"}, {"b"}};
  AddColumn(table, {"known"}, {"", "2"});
  AddColumn(table, {"unknown"}, {"", ""});
  DropEmptyColumns(table);
  ASSERT_EQ(table.columns.size(), 2u);
  EXPECT_EQ(table.columns[1].header, "known");
  EXPECT_EQ(table.rows[1].cells[1].text, "2");
}

TEST(Document, WhatHasNothingToShowIsLeftOutEverywhere) {
  Document document = WithTable(Figures());
  document.sections.push_back({.heading = "gone",
                               .blocks = {Figure{LinePlot{{"id", "title", "", ""}, "x", {}, {}}, ""},
                                          KeyValues{"pairs", {{"label", ""}}}, Paragraph{}, Notes{}, Code{}}});
  EXPECT_EQ(RenderTerminal(document, {.all = true}), "moecap: t\n");
  EXPECT_EQ(RenderMarkdown(document), "# moecap: t\n");
  EXPECT_EQ(RenderCsv(document), "section,table,row_group,row,column,unit,value,mark,note\n");
  EXPECT_THAT(RenderSvgs(document), IsEmpty());
  EXPECT_THAT(RenderHtml(document), AllOf(Not(HasSubstr("<section")), Not(HasSubstr("<table")), Not(HasSubstr("gone"))));
}

TEST(DocumentDeathTest, PlotsHaveDistinctIdsAndHeadlinesAreFew) {
  const Figure figure{LinePlot{{"id", "title", "", ""}, "x", {}, {}}, ""};
  Document document{.title = "t", .sections = {{.heading = "s", .blocks = {figure, figure}}}};
  EXPECT_DEATH(RenderSvgs(document), "");
  EXPECT_DEATH(RenderMarkdown(Document{.headline = std::vector<std::string>(kMostHeadlines + 1, "One.")}), "");
}

TEST(DocumentTerminal, FirstScreenIsVerdictAndFirstTable) {
  const std::string text = RenderTerminal(SampleDocument(), {});
  EXPECT_THAT(text, AllOf(HasSubstr("! The machine was busy"), HasSubstr("vLLM FP8 and the other are equally fast."),
                          HasSubstr("Speed by level"), HasSubstr("[1] Too few requests")));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("Trade-offs")), Not(HasSubstr("Qwen3")), Not(HasSubstr("Method"))));
}

TEST(DocumentTerminal, EverythingButTheRadarStandsBehindAll) {
  const std::string text = RenderTerminal(SampleDocument(), {.all = true});
  EXPECT_THAT(
      text, AllOf(HasSubstr("Qwen3-30B-A3B"), HasSubstr("TTFT by clients"), HasSubstr("vLLM FP8 is more accurate"),
                  HasSubstr("! One request failed."), HasSubstr("  moecap run experiment.yaml"), HasSubstr("Validity gates")));
  EXPECT_THAT(text, Not(HasSubstr("CAP radar")));
}

TEST(DocumentTerminal, EveryLineFits) {
  for (const size_t width : {60, 80, 132}) {
    EXPECT_THAT(Widths(RenderTerminal(SampleDocument(), {.width = width, .all = true})), Each(Le(width))) << width;
  }
}

TEST(DocumentTerminal, SevenBitsAndNoForeignEscapes) {
  for (const char c : RenderTerminal(SampleDocument(), {.unicode = false, .all = true}))
    EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
  EXPECT_THAT(RenderTerminal(SampleDocument(), {.color = true, .all = true}), Not(HasSubstr("\x1b[31m")));
}

TEST(DocumentTerminal, GroupsAreNamedOnceAndMarksLeaveTheDigitsInLine) {
  Table table = Figures();
  table.columns.resize(2);
  table.group_header = "system";
  table.rows = {{"1", "10"}, {"2", Invalid("20")}, {"1", Estimate("3")}, {"2", ""}};
  for (size_t i = 0; i < 4; ++i) table.rows[i].group = i < 2 ? "alpha" : "beta";
  table.rows[3].invalid = true;
  const auto lines = Lines(RenderTerminal(WithTable(table), {.unicode = false}));
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[4], "system  name  value");
  EXPECT_EQ(lines[6], "alpha   1       10");
  EXPECT_EQ(lines[7], "        2       20!");
  EXPECT_EQ(lines[8], "beta    1       ~3");
  EXPECT_EQ(lines[9], "        2 !      -");
}

TEST(DocumentTerminal, LongSentencesOfATableAreWrapped) {
  Table table = Figures();
  std::string reason;
  for (int i = 0; i < 40; ++i) reason += "word ";
  table.rows = {{"a", "1", reason.c_str()}};
  const std::string text = RenderTerminal(WithTable(table), {.width = 50});
  EXPECT_THAT(Widths(text), Each(Le(50u)));
  EXPECT_EQ(Count(text, "word"), 40u);
  EXPECT_EQ(Count(text, "name"), 1u) << "wrapped, not cut";
}

TEST(DocumentHtml, IsWellFormedAndEscaped) {
  const std::string page = RenderHtml(SampleDocument());
  EXPECT_EQ(XmlFault(page), "");
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("\x1b")), HasSubstr("&lt;script&gt;alert(&#39;x&#39;)")));
}

TEST(DocumentHtml, ShowsEverythingAndFoldsDetails) {
  const std::string page = RenderHtml(SampleDocument());
  EXPECT_THAT(page,
              AllOf(HasSubstr("<h1>vLLM FP8 and the other are equally fast.</h1>"), HasSubstr("<section id=\"results\">"),
                    HasSubstr("<details id=\"method\" class=\"fold\"><summary><h2>Method</h2></summary>"),
                    HasSubstr("<summary><h3>16 clients</h3></summary>"), HasSubstr("role=\"alert\">The machine was busy")));
  EXPECT_EQ(Count(page, "<figure>"), 10u);
  EXPECT_EQ(Count(page, "<h1>"), 1u);
}

TEST(DocumentHtml, HeadingsNeverSkipALevel) {
  const std::string page = RenderHtml(SampleDocument());
  char last = '0';
  for (size_t at = page.find("<h"); at != std::string::npos; at = page.find("<h", at + 1)) {
    const char level = page[at + 2];
    if (level < '1' || level > '6' || page[at + 3] != '>') continue;
    EXPECT_LE(level, last + 1) << page.substr(at, 60);
    last = level;
  }
  EXPECT_GE(last, '2');
}

TEST(DocumentHtml, TablesNameRowsAndColumnsForReaders) {
  const std::string page = RenderHtml(SampleDocument());
  EXPECT_THAT(page, AllOf(HasSubstr("<th scope=\"rowgroup\" rowspan=\"3\" class=\"sys\">"), HasSubstr("vLLM FP8</th>"),
                          HasSubstr("<th scope=\"colgroup\" colspan=\"2\" class=\"group\"><span>TTFT (ms)</span></th>"),
                          HasSubstr("<th scope=\"row\" class=\"key\" data-l=\"clients\">16</th>"),
                          HasSubstr("data-l=\"TTFT (ms) p50\">81.2</td>"), HasSubstr("<tr class=\"bad\">")));
  EXPECT_EQ(Count(page, "<th>"), 0u);
  EXPECT_THAT(page, AllOf(HasSubstr("<td class=\"best\" data-l=\"TPOT (ms) p50\">7.7</td>"), HasSubstr(">~3.1</td>"),
                          HasSubstr("<td class=\"none\" data-l=\"energy (J/token)\">–</td>")));
  EXPECT_THAT(page, AllOf(HasSubstr("<sup><a href=\"#table-1-1\">1</a></sup>"), HasSubstr("<li id=\"table-1-1\">Too few")));
}

TEST(DocumentHtml, DrawingsHaveTextAndFiguresBeside) {
  const std::string page = RenderHtml(SampleDocument());
  EXPECT_EQ(Count(page, "role=\"img\""), 10u);
  EXPECT_THAT(page, HasSubstr("What CAP radar shows</desc>"));
  EXPECT_EQ(Count(page, "<summary>figures</summary>"), 10u);
}

TEST(DocumentHtml, LinksToSectionsWhenThereAreMany) {
  Document document{.title = "t"};
  for (const char* heading : {"A b", "A b", "C", "D"})
    document.sections.push_back({.heading = heading, .blocks = {Paragraph{{"One."}}}});
  const std::string page = RenderHtml(document);
  EXPECT_THAT(page, AllOf(HasSubstr("<nav aria-label=\"Contents\">"), HasSubstr("<a href=\"#a-b-2\">"),
                          HasSubstr("<section id=\"a-b-2\">"), HasSubstr("<h1>moecap: t</h1>")));
  document.sections.pop_back();
  EXPECT_THAT(RenderHtml(document), Not(HasSubstr("<nav")));
}

TEST(DocumentMarkdown, TablesKeepTheirColumns) {
  const std::string text = RenderMarkdown(SampleDocument());
  size_t columns = 0;
  for (const auto& line : Lines(text)) {
    if (!line.starts_with('|')) {
      columns = 0;
      continue;
    }
    const size_t here = Count(line, "|") - Count(line, "\\|");
    if (columns == 0) columns = here;
    EXPECT_EQ(here, columns) << line;
  }
}

TEST(DocumentMarkdown, EscapesNamesAndKeepsCode) {
  const std::string text = RenderMarkdown(SampleDocument());
  EXPECT_THAT(text, StartsWith("# moecap comparison: &lt;script"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("<script")), HasSubstr("\\|a,\"b\" \\# c"), HasSubstr("> **The machine was busy"),
                          HasSubstr("```sh\nmoecap run experiment.yaml \\\n  --seed 7 <in >out\n```\n")));
  EXPECT_THAT(text, AllOf(HasSubstr("n/a (662) \\[1\\]"), HasSubstr("- \\[1\\] Too few"), HasSubstr("\\~3.1"),
                          HasSubstr("**7.7**"), HasSubstr("| 64 **!** |"), HasSubstr("### 16 clients")));
}

TEST(DocumentMarkdown, SentencesAreNoLists) {
  Document document{.title = "t"};
  document.sections.push_back(
      {.heading = "s", .blocks = {Paragraph{{"- 3. b"}}, Paragraph{{"12. c"}}, Code{"", "```\nx", ""}}});
  const std::string text = RenderMarkdown(document);
  EXPECT_THAT(text, AllOf(HasSubstr("\n\\- 3. b\n"), HasSubstr("\n12\\. c\n"), HasSubstr("\n````\n```\nx\n````\n")));
}

TEST(DocumentCsv, OneLineACell) {
  Table table = Figures();
  table.name = "figures";
  table.columns[1].unit = "ms";
  table.columns[1].group = "TTFT";
  table.rows = {{"a,\"b\"", WithNote(Estimate("1"), "guess"), "x\ny"}, {"c", "", ""}};
  table.rows[1].group = "g";
  table.rows[1].invalid = true;
  EXPECT_EQ(RenderCsv(WithTable(table)),
            "section,table,row_group,row,column,unit,value,mark,note\n"
            "s,figures,,\"a,\"\"b\"\"\",TTFT value,ms,1,estimate,guess\n"
            "s,figures,,\"a,\"\"b\"\"\",why,,x y,,\n"
            "s,figures,g,c,TTFT value,ms,,invalid,\n"
            "s,figures,g,c,why,,,invalid,\n");
}

TEST(DocumentSvgs, EveryPlotByItsId) {
  const auto svgs = RenderSvgs(SampleDocument());
  ASSERT_EQ(svgs.size(), 10u);
  EXPECT_EQ(svgs.front().first, "cap-radar");
  for (const auto& [name, svg] : svgs) {
    EXPECT_EQ(XmlFault(svg), "") << name;
    EXPECT_THAT(svg, HasSubstr("xmlns=")) << name;
  }
}

TEST(Document, EveryLayoutShowsTheSameFigures) {
  const Document document = SampleDocument();
  for (const char* figure : {"81.2", "n/a (662)", "1310", "0.21", "29.9"}) {
    EXPECT_THAT(RenderTerminal(document, {}), HasSubstr(figure));
    EXPECT_THAT(RenderHtml(document), HasSubstr(figure));
    EXPECT_THAT(RenderMarkdown(document), HasSubstr(figure));
    EXPECT_THAT(RenderCsv(document), HasSubstr(figure));
  }
}

}  // namespace
}  // namespace moecap::report
