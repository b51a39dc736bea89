#include "workload/dataset_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/fs.h"
#include "base/mapped_file.h"

namespace moecap::workload {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostFiles = 100'000;

// Whether `name` is `pattern`, in which one '*' stands for any text; that text in `star`.
bool Matches(std::string_view pattern, std::string_view name, std::string& star) {
  const size_t at = pattern.find('*');
  if (at == std::string_view::npos) return pattern == name;
  const std::string_view head = pattern.substr(0, at), tail = pattern.substr(at + 1);
  if (name.size() < head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail)) return false;
  star = name.substr(head.size(), name.size() - head.size() - tail.size());
  return true;
}

std::vector<fs::path> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end; !error && it != end;
       it.increment(error)) {
    entries.push_back(it->path());
  }
  std::ranges::sort(entries);
  return entries;
}

// The files below `folder` that the rest of the entry's path, from `part` on, leads to.
void Expand(const fs::path& folder, const std::vector<std::string>& parts, size_t part, const std::string& captured,
            const DatasetFile& entry, std::vector<FoundFile>& found) {
  std::error_code error;
  if (part == parts.size()) {
    if (fs::is_regular_file(folder, error) && found.size() < kMostFiles)
      found.push_back({folder, captured.empty() ? folder.stem().string() : captured});
    return;
  }
  if (parts[part].find('*') == std::string::npos) return Expand(folder / parts[part], parts, part + 1, captured, entry, found);
  for (const fs::path& path : EntriesOf(folder)) {
    std::string star, none;
    const std::string name = path.filename().string();
    if (!Matches(parts[part], name, star) || (!entry.except.empty() && Matches(entry.except, name, none))) continue;
    Expand(path, parts, part + 1, captured.empty() ? star : captured, entry, found);
  }
}

std::vector<std::string> PartsOf(const std::string& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::path(path)) parts.push_back(part.string());
  return parts;
}

// The folders below `root` that may hold the published files. `direct`: perhaps the root itself.
std::vector<fs::path> FoldersIn(const DatasetInfo& info, const fs::path& root, bool direct) {
  std::vector<fs::path> folders;
  if (direct) folders.push_back(root);
  folders.push_back(root / info.name);
  for (const std::string& name : info.folders) folders.push_back(root / name);
  for (const std::string& hub : info.hubs) {
    std::string folder = "datasets--" + hub;
    if (const size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
    // The revision that `main` names comes first; others may be left from before.
    const auto main = ReadFile(root / folder / "refs" / "main");
    if (main.ok()) folders.push_back(root / folder / "snapshots" / *main);
    for (const fs::path& snapshot : EntriesOf(root / folder / "snapshots")) folders.push_back(snapshot);
  }
  return folders;
}

std::optional<FoundSplit> FindIn(const DatasetInfo& info, const std::string& split, const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) {
    for (const DatasetFile& entry : info.files) {
      if (entry.split != split) continue;
      FoundSplit found;
      Expand(folder, PartsOf(entry.path), 0, "", entry, found.files);
      if (found.files.empty()) continue;
      found.entry = entry;
      return found;
    }
  }
  return std::nullopt;
}

// A file that the user names.
Result<FoundSplit> FindFile(const DatasetInfo& info, const std::string& split, const fs::path& file) {
  const std::string name = file.filename().string();
  FoundSplit found;
  found.entry.split = split;
  found.entry.path = file.string();
  std::string other;
  for (const DatasetFile& entry : info.files) {
    std::string star;
    const std::vector<std::string> parts = PartsOf(entry.path);
    if (!Matches(parts.back(), name, star)) continue;
    if (entry.split != split) {
      other = entry.split;
      continue;
    }
    // One file of several has its own number of rows.
    if (entry.path.find('*') == std::string::npos) found.entry = entry;
    found.files = {{file, star.empty() ? file.stem().string() : star}};
    return found;
  }
  if (!other.empty())
    return BadInput(fmt::format("{}: this is the split {} of {}, and {} was asked for; give that file, or split: {}",
                                file.string(), other, info.name, split, other));
  found.files = {{file, file.stem().string()}};
  return found;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where data sets are looked for when the user names no place.
std::vector<fs::path> UsualRoots() {
  std::vector<fs::path> roots;
  if (const std::string own = Environment("MOECAP_DATASETS"); !own.empty()) roots.emplace_back(own);
  if (const std::string hub = Environment("HF_HUB_CACHE"); !hub.empty()) roots.emplace_back(hub);
  if (const std::string home = Environment("HF_HOME"); !home.empty()) roots.push_back(fs::path(home) / "hub");
  if (const std::string home = Environment("HOME"); !home.empty())
    roots.push_back(fs::path(home) / ".cache" / "huggingface" / "hub");
  roots.push_back(CacheDir() / "datasets");
  if (fs::path shipped = ShippedPath("datasets"); !shipped.empty()) roots.push_back(std::move(shipped));
  return roots;
}

std::string HowToGet(const DatasetInfo& info) {
  std::string text = info.get;
  if (!info.home.empty()) text += fmt::format("; {}", info.home);
  if (!info.hubs.empty()) text += fmt::format("; hub: {}", info.hubs.front());
  return text;
}

// A file that changes while it is read may end early: its hash is then another.
Result<std::string> Sha256OfFile(const fs::path& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file.bytes();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    return Failed(fmt::format("{}: cannot be hashed", path.string()));
  return fmt::format("{:02x}", fmt::join(digest, digest + size, ""));
}

}  // namespace

Result<FoundSplit> FindSplit(const DatasetInfo& info, const std::string& split, const fs::path& given) {
  const std::vector<std::string> splits = SplitsOf(info);
  if (std::ranges::count(splits, split) == 0)
    return BadInput(fmt::format("{} has no split \"{}\"; it has {}", info.name, split, fmt::join(splits, ", ")));
  std::error_code error;
  if (!given.empty() && fs::is_regular_file(given, error)) return FindFile(info, split, given);
  if (!given.empty() && !fs::exists(given, error))
    return BadInput(
        fmt::format("{}: there is no such file or folder; to get {}: {}", given.string(), info.name, HowToGet(info)));
  std::vector<fs::path> roots = {given};
  if (given.empty()) roots = UsualRoots();
  for (const fs::path& root : roots) {
    if (auto found = FindIn(info, split, FoldersIn(info, root, !given.empty()))) return std::move(*found);
  }
  std::vector<std::string> names, places;
  for (const DatasetFile& entry : info.files) {
    if (entry.split == split) names.push_back(entry.path);
  }
  for (const fs::path& root : roots) places.push_back(root.string());
  return BadInput(fmt::format("the split {} of {} is not there: {} was looked for in {}. To get it: {}", split, info.name,
                              fmt::join(names, ", "), fmt::join(places, ", "), HowToGet(info)));
}

Result<std::string> Sha256Of(const FoundSplit& found) {
  if (found.files.size() == 1 && found.entry.path.find('*') == std::string::npos) return Sha256OfFile(found.files.front().path);
  std::string lines;
  for (const FoundFile& file : found.files) {
    ASSIGN_OR_RETURN(const std::string hash, Sha256OfFile(file.path));
    lines += fmt::format("{}  {}\n", hash, file.path.filename().string());
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(lines.data(), lines.size(), digest, &size, EVP_sha256(), nullptr) != 1) return Failed("cannot hash");
  return fmt::format("{:02x}", fmt::join(digest, digest + size, ""));
}

}  // namespace moecap::workload
