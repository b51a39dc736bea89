#include "base/paths.h"

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

}  // namespace moecap
