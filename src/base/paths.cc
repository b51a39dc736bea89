#include "base/paths.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace moecap {
namespace fs = std::filesystem;

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

fs::path Absolute(const fs::path& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  return error ? path : absolute;
}

fs::path TemporaryDir() {
  const char* given = std::getenv("TMPDIR");
  return given != nullptr && *given != '\0' ? fs::path(given) : fs::path("/tmp");
}

fs::path HiddenName(const fs::path& path, const char* purpose) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return folder / fmt::format(".{}.{}{}", path.filename().string(), purpose, ::getpid());
}

fs::path UnfinishedName(const fs::path& path) { return path.string() + fmt::format(".tmp{}", ::getpid()); }

bool IsUnfinished(const fs::path& path, bool is_folder) {
  const std::string name = path.filename().string();
  if (name.empty() || (is_folder && name.front() != '.')) return false;
  const std::string stem = name.substr(0, name.find_last_not_of("0123456789") + 1);
  return stem != name && ((stem.ends_with(".tmp") && stem != ".tmp") || (name.front() == '.' && stem.ends_with(".deleted")));
}

}  // namespace moecap
