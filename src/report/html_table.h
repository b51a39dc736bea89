// Tables in the page. Internal to report/.
#pragma once

#include <string>

#include "report/document.h"

namespace moecap::report {

// `id` is unique in the page: footnotes link to it. `caption`: whether the title is shown; it names the table for screen
// readers in any case.
std::string HtmlTable(const Table& table, const std::string& id, bool caption = true);

}  // namespace moecap::report
