// What the verbs that end in a report share: printing it for this terminal and writing its files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/table.h"
#include "cap/judgement.h"
#include "report/document.h"
#include "report/terminal_options.h"
#include "report/upstream_files.h"

namespace moecap::app {

// What a report can be rendered to, by the names of --format.
enum class ReportFormat { kTerminal, kHtml, kMarkdown, kCsv, kJson, kSvg, kUpstream, kVllm, kPrometheus, kOtlp };
// Error: kBadInput with the nearest name.
Result<ReportFormat> FindReportFormat(const std::string& name);
// "terminal, html, ..." for help texts.
std::string ReportFormatNames();
// All of them.
std::vector<ReportFormat> ReportFormats();

// For text on stdout: the terminal's width, colours and characters. `all`: everything, not only the first screen.
report::TerminalOptions StdoutOptions(bool all = false);

// The terminal form at the terminal's width and in its colours; without `all` it ends by saying how to see the rest.
std::string TerminalText(const cap::JudgedExperiment& experiment, bool all);
// That, or the JSON form, on stdout.
void PrintReport(const cap::JudgedExperiment& experiment, bool json, bool all);
void PrintDocument(const report::Document& document, bool all);
void PrintText(const std::string& text);

// The files of one experiment in one format, relative to the folder of its reports. kUpstream and kVllm need the facts: they
// are not among them.
std::vector<report::NamedText> ReportFiles(const cap::JudgedExperiment& experiment, ReportFormat format);

// The same of a document, in the formats that documents have; none in the others. `terminal` lays out report.txt.
std::vector<report::NamedText> ReportFiles(const report::Document& document, ReportFormat format,
                                           const report::TerminalOptions& terminal);

// summary.json, report.html, report.md, report.csv and the radar into `dir`, each atomically.
Status WriteReports(const cap::JudgedExperiment& experiment, const std::filesystem::path& dir);

// Says on stderr where the reports are, after all that stdout holds was written.
void NameReports(const std::filesystem::path& dir);

// Makes the folders that the paths need below `dir` and writes each file atomically.
Status WriteFiles(const std::vector<report::NamedText>& files, const std::filesystem::path& dir);

// Columns of the terminal on stdout, 60 to 132; 80 when it is no terminal.
size_t TerminalWidth();

// A locale that names UTF-8, or none at all (then output goes to a file or a build log, which is UTF-8 today).
bool WantsUnicode();

// Prints a paragraph at the terminal's width. What begins a new line is indented by `hang` spaces.
void PrintParagraph(const std::string& text, size_t hang = 2);

// Options of a table that fits the terminal.
TableOptions TerminalTable();

// Whether `fd` shows text to a person who wants colours (NO_COLOR and TERM=dumb are respected).
bool WantsColor(int fd);

}  // namespace moecap::app
