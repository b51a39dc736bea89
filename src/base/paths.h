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
// "NAME.tmp+process id" beside `path`: what a file is called until it is whole.
std::filesystem::path UnfinishedName(const std::filesystem::path& path);
// Whether the last part of `path` is a name that one of these makes, in whatever process: a killed one leaves it. Of a folder,
// whose plain name its user chose, HiddenName alone.
bool IsUnfinished(const std::filesystem::path& path, bool is_folder);

}  // namespace moecap
