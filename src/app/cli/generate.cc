// moecap generate: man pages and completions, which the build installs. Hidden: it is of no use to who runs the program.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "app/cli/cli.h"
#include "app/cli/manual.h"
#include "app/cli/output.h"

namespace moecap::app {

Action AddGenerate(CLI::App& app, const Invocation&) {
  auto folder = std::make_shared<std::string>();
  app.add_option("folder", *folder, "gets share/man, share/bash-completion, share/zsh and share/fish")->required();
  app.group("");
  return [folder, &app]() -> Status {
    const Command program = DescribeCommand(*app.get_parent());
    const std::filesystem::path share = std::filesystem::path(*folder) / "share";
    RETURN_IF_ERROR(WriteFiles(ManPages(program, kVersion), share / "man/man1"));
    return WriteFiles({{"bash-completion/completions/moecap", BashCompletion(program)},
                       {"zsh/vendor-completions/_moecap", ZshCompletion(program)},
                       {"fish/vendor_completions.d/moecap.fish", FishCompletion(program)}},
                      share);
  };
}

}  // namespace moecap::app
