// Text of bounded width for a terminal: what the pages of load tests share. Internal to report/.
#pragma once

#include <string>
#include <vector>

#include "report/load_tables.h"
#include "report/terminal.h"

namespace moecap::report {

class TerminalPage {
 public:
  static constexpr const char* kBold = "1";
  static constexpr const char* kRed = "1;31";

  // `options` must outlive the page.
  explicit TerminalPage(const TerminalOptions& options) : options_(options) {}

  // `lead` once, then `text` wrapped beside it.
  void Text(const std::string& lead, const std::string& text, const char* style = nullptr);
  void Title(const std::string& text);
  void Items(const std::string& title, const std::vector<std::string>& items);
  // Rows that are bad have a "!" after their name. Columns of words share what the others leave and are wrapped.
  void Table(const LoadTable& table);

  std::string Take() { return std::move(out_); }

 private:
  std::string Style(const std::string& text, const char* code) const;
  std::string Plain(const std::string& text) const;

  const TerminalOptions& options_;
  std::string out_;
};

}  // namespace moecap::report
