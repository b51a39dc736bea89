#include "app/cli/catalogue_file.h"

#include <cstdlib>
#include <filesystem>

#include "base/fs.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

// Empty when the environment names no place for it.
fs::path DefaultFile() {
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && *config != '\0')
    return fs::path(config) / "moecap" / "hardware.json";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".config" / "moecap" / "hardware.json";
  return {};
}

}  // namespace

Result<hardware::Catalogue> OpenCatalogue(const std::string& file) {
  std::error_code error;
  const fs::path path = file.empty() ? DefaultFile() : fs::path(file);
  if (path.empty() || (file.empty() && !fs::exists(path, error))) return hardware::Catalogue::Builtin();
  ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  return hardware::Catalogue::BuiltinWith({path.string(), std::move(text)});
}

}  // namespace moecap::app
