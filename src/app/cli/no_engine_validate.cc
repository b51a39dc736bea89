// moecap validate in a build without the embedded engine.
#include <CLI/CLI.hpp>

#include "app/cli/cli.h"

namespace moecap::app {

Action AddValidate(CLI::App& app, const Invocation&) {
  app.allow_extras();
  return []() -> Status { return BadInput("this build has no embedded engine; configure with -DMOECAP_LLAMA=prebuilt"); };
}

}  // namespace moecap::app
