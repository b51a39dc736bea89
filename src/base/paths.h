// Questions about paths that no answer of the system turns into an exception, as those of std::filesystem are.
#pragma once

#include <filesystem>

namespace moecap {

// False also where it cannot be known.
bool Exists(const std::filesystem::path& path);
bool IsFolder(const std::filesystem::path& path);
// `path` itself where the working folder is gone.
std::filesystem::path Absolute(const std::filesystem::path& path);
// $TMPDIR, or /tmp.
std::filesystem::path TemporaryDir();
// ".NAME.PURPOSE+process id" beside `path`: what a command makes or removes bears such a name until it is done.
std::filesystem::path HiddenName(const std::filesystem::path& path, const char* purpose);

}  // namespace moecap
