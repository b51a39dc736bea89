// What the pages load besides themselves; built from ui/ and part of the program.
#pragma once

#include <string_view>

namespace moecap::web {

// Empty in a build without it (MOECAP_UI=off): every page works without a script, too.
std::string_view ScriptText();
// Without that of the reports (report/render.h), which stands before it.
std::string_view StyleText();

}  // namespace moecap::web
