#include "store/run_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string_view>

#include "base/paths.h"

namespace moecap::store {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error ReadError(const fs::path& path, int error_number) {
  return BadInput(fmt::format("cannot read {}: {}", path.string(), std::strerror(error_number)));
}

Error WriteError(const fs::path& path, int error_number) {
  return Failed(fmt::format("cannot write {}: {}", path.string(), std::strerror(error_number)));
}

// Hands the first `bytes` bytes of the file to `use`, block by block.
Status ReadBlocks(const fs::path& path, uint64_t bytes, const std::function<Status(std::string_view)>& use) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ReadError(path, errno);
  const auto block = std::make_unique<char[]>(kBlockBytes);
  for (uint64_t left = bytes; left > 0;) {
    const ssize_t got = ::read(file.get(), block.get(), static_cast<size_t>(std::min<uint64_t>(left, kBlockBytes)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ReadError(path, errno);
    if (got == 0) return BadInput(fmt::format("{} is {} bytes shorter than the {} it should have", path.string(), left, bytes));
    RETURN_IF_ERROR(use({block.get(), static_cast<size_t>(got)}));
    left -= static_cast<uint64_t>(got);
  }
  return {};
}

Status WriteAll(int fd, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return WriteError(path, errno);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// A new file, on the disk when this returns.
Status WriteNewFile(const fs::path& path, const std::function<Status(int fd)>& fill) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return Failed(fmt::format("cannot create {}: {}", path.parent_path().string(), error.message()));
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.get() < 0) return WriteError(path, errno);
  RETURN_IF_ERROR(fill(file.get()));
  if (::fsync(file.get()) != 0) return WriteError(path, errno);
  return {};
}

// The entries of a folder are on the disk, not only the files they name.
Status SyncFolder(const fs::path& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return WriteError(path, errno);
  return {};
}

Status FillFolder(const fs::path& from, const std::vector<ExportedFile>& files, const std::map<std::string, std::string>& extra,
                  const fs::path& to) {
  std::set<fs::path> folders = {to};
  for (const ExportedFile& file : files) {
    const fs::path path = to / file.name;
    RETURN_IF_ERROR(WriteNewFile(path, [&](int fd) {
      return ReadBlocks(from / file.name, file.bytes, [&](std::string_view block) { return WriteAll(fd, block, path); });
    }));
    for (fs::path folder = path.parent_path(); folder != to; folder = folder.parent_path()) folders.insert(folder);
  }
  for (const auto& entry : extra) {
    RETURN_IF_ERROR(WriteNewFile(to / entry.first, [&](int fd) { return WriteAll(fd, entry.second, to / entry.first); }));
  }
  for (const fs::path& folder : folders) RETURN_IF_ERROR(SyncFolder(folder));
  return {};
}

fs::path FolderOf(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

Result<std::string> HashFile(const fs::path& path, uint64_t bytes) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  CHECK(state != nullptr && XXH3_64bits_reset(state.get()) == XXH_OK);
  RETURN_IF_ERROR(ReadBlocks(path, bytes, [&](std::string_view block) {
    CHECK(XXH3_64bits_update(state.get(), block.data(), block.size()) == XXH_OK);
    return Status();
  }));
  return fmt::format("{:016x}", XXH3_64bits_digest(state.get()));
}

Result<std::vector<ExportedFile>> ListFiles(const fs::path& dir) {
  std::vector<ExportedFile> files;
  std::error_code error;
  fs::recursive_directory_iterator entry(dir, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status(error);
    if (error) break;
    const bool is_folder = status.type() == fs::file_type::directory;
    const bool unfinished = IsUnfinished(entry->path(), is_folder);
    if (is_folder && unfinished) entry.disable_recursion_pending();
    if (is_folder || unfinished) continue;
    if (status.type() != fs::file_type::regular)
      return BadInput(fmt::format("{} is neither a file nor a folder; a run has only those", entry->path().string()));
    ExportedFile file;
    file.name = entry->path().lexically_relative(dir).generic_string();
    if (file.name == kExportRecordName) continue;
    file.bytes = entry->file_size(error);
    if (error) break;
    ASSIGN_OR_RETURN(file.xxh3_64, HashFile(entry->path(), file.bytes));
    files.push_back(std::move(file));
  }
  if (error) return BadInput(fmt::format("cannot list the folder {}: {}", dir.string(), error.message()));
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

Status CopyFolder(const fs::path& from, const std::vector<ExportedFile>& files, const std::map<std::string, std::string>& extra,
                  const fs::path& to) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(to, error)))
    return BadInput(fmt::format("{} exists already; nothing was written", to.string()));
  const fs::path temporary = HiddenName(to, "tmp");
  if (!fs::create_directory(temporary, error))
    return BadInput(
        fmt::format("cannot create {}: {}", to.string(), error ? error.message() : "a folder of that name is being made"));
  Status filled = FillFolder(from, files, extra, temporary);
  if (filled.ok() && ::rename(temporary.c_str(), to.c_str()) != 0) filled = WriteError(to, errno);
  if (filled.ok()) return SyncFolder(FolderOf(to));
  fs::remove_all(temporary, error);
  return filled;
}

Result<fs::path> FolderBelow(const fs::path& results_dir, const std::string& path) {
  const fs::path folder = results_dir / path;
  const fs::path name(path);
  std::error_code error;
  const bool is_child =
      name.is_relative() && name.has_filename() && std::distance(name.begin(), name.end()) == 1 && path != "." && path != "..";
  if (!is_child)
    return BadInput(fmt::format("{} is not a folder right below {}; it is left alone", path, results_dir.string()));
  const fs::file_type type = fs::symlink_status(folder, error).type();
  if (type == fs::file_type::directory) return folder;
  if (type == fs::file_type::not_found) return BadInput(fmt::format("{} does not exist", folder.string()));
  return BadInput(fmt::format("{} is not a folder; it is left alone", folder.string()));
}

std::vector<fs::path> LeftOvers(const fs::path& dir) {
  std::vector<fs::path> found;
  std::error_code error;
  fs::recursive_directory_iterator entry(dir, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (!IsUnfinished(entry->path(), IsFolder(entry->path()))) continue;
    found.push_back(entry->path());
    entry.disable_recursion_pending();
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<fs::path> HideFolder(const fs::path& folder) {
  const fs::path hidden = HiddenName(folder, "deleted");
  if (::rename(folder.c_str(), hidden.c_str()) != 0)
    return Failed(fmt::format("cannot remove {}: {}; nothing was changed", folder.string(), std::strerror(errno)));
  return hidden;
}

}  // namespace moecap::store
