// moecap validate in a build without the embedded engine.
#include <CLI/CLI.hpp>
#include <memory>

#include "app/cli/cli.h"
#include "app/cli/validate_counters.h"

namespace moecap::app {

Action AddValidate(CLI::App& app, const Invocation&) {
  app.allow_extras();
  auto flags = std::make_shared<CounterFlags>();
  AddCounterFlags(app, *flags);
  return [flags]() -> Status {
    if (!flags->counters.empty()) return ValidateCounters(*flags);
    return BadInput("this build has no embedded engine; configure with -DMOECAP_LLAMA=prebuilt");
  };
}

}  // namespace moecap::app
