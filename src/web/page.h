// The frame that all pages share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "web/http.h"

namespace moecap::web {

// For element content and quoted attributes.
std::string Escape(std::string_view text);

struct PageFrame {
  std::string title;
  std::string current;  // path of the entry of the navigation that the page belongs to; may be empty
  bool writable = false;
};

// `body`: everything below the navigation, with a <main>.
Response Page(const PageFrame& frame, std::string_view body);
// The message of a failure in the same frame: 404 for what the user named wrongly.
Response ErrorPage(const PageFrame& frame, const Error& error, int status = 404);
Response JsonError(const Error& error, int status = 404);

// The style sheet and the script, below "/assets/". 404 for another name.
Response AssetResponse(const std::string& name);

struct Choice {
  std::string value, label;
};
// <option> elements, the current one selected.
std::string Options(const std::vector<Choice>& choices, std::string_view current);

// The address of a run's page.
std::string RunPath(std::string_view run_id);

}  // namespace moecap::web
