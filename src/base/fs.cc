#include "base/fs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/paths.h"

namespace moecap {
namespace fs = std::filesystem;
namespace {

Error OsError(std::string_view action, const fs::path& path, int error_number) {
  return BadInput(fmt::format("cannot {} {}: {}", action, path.string(), std::strerror(error_number)));
}

// Writes all of `content` to `fd`; returns 0 or errno.
int WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    content.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

Result<std::string> ReadFile(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return OsError("read", path, EISDIR);
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return OsError("read", path, errno != 0 ? errno : ENOENT);
  std::string content{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) return OsError("read", path, EIO);
  return content;
}

Result<std::vector<std::string>> ReadLines(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < content.size()) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    lines.emplace_back(content, begin, end - begin);
    begin = end + 1;
  }
  return lines;
}

bool IsSpecialFile(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (error || type == fs::file_type::not_found || type == fs::file_type::directory) return false;
  if (type != fs::file_type::regular) return true;
  const auto names_open_file = [&](const fs::path& name) {
    return fs::canonical(fs::absolute(name, error).parent_path(), error).native().starts_with("/proc/");
  };
  return names_open_file(path) || names_open_file(ThroughLinks(path));
}

Status WriteFileAtomically(const fs::path& path, std::string_view content) {
  ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Beside(path));
  RETURN_IF_ERROR(file.Append(content));
  return file.Commit();
}

fs::path ThroughLinks(const fs::path& name) {
  constexpr int kMostLinks = 40;  // as Linux follows
  std::error_code error;
  fs::path path = name;
  for (int links = 0; links < kMostLinks && fs::is_symlink(path, error); ++links) {
    if (path.native().starts_with("/proc/")) break;  // of an open file: where it leads is a remark
    const fs::path target = fs::read_symlink(path, error);
    if (error) break;
    path = path.parent_path() / target;
  }
  return path;
}

Result<AtomicFileWriter> AtomicFileWriter::Create(const fs::path& name, uint64_t bytes) {
  std::error_code error;
  const fs::path path = ThroughLinks(name);
  if (IsSpecialFile(path)) return Beside(path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes) {
    return BadInput(
        fmt::format("cannot write {}: it needs {} bytes, its volume has {} free", path.string(), bytes, space.available));
  }
  return Beside(path);
}

Result<AtomicFileWriter> AtomicFileWriter::Beside(const fs::path& path) {
  fs::path temporary = IsSpecialFile(path) ? fs::path() : UnfinishedName(path);
  const int fd = temporary.empty() ? ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)
                                   : ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return OsError("write", path, errno);
  return AtomicFileWriter(path, std::move(temporary), fd);
}

AtomicFileWriter::AtomicFileWriter(fs::path path, fs::path temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

AtomicFileWriter::AtomicFileWriter(AtomicFileWriter&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::move(other.temporary_)), fd_(std::exchange(other.fd_, -1)) {}

AtomicFileWriter::~AtomicFileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFileWriter::Append(std::string_view piece) {
  const int error_number = WriteAll(fd_, piece);
  if (error_number != 0) return OsError("write", path_, error_number);
  return {};
}

Status AtomicFileWriter::Commit() {
  const bool special = temporary_.empty();
  int error_number = !special && ::fsync(fd_) != 0 ? errno : 0;
  if (::close(std::exchange(fd_, -1)) != 0 && error_number == 0) error_number = errno;
  if (!special && error_number == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) error_number = errno;
  if (error_number == 0) return {};
  if (!special) ::unlink(temporary_.c_str());
  return OsError("write", path_, error_number);
}

Status MakeWritableDir(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !IsFolder(path)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) {
    return BadInput(fmt::format("cannot create the folder {}: {}; choose another folder", path.string(), error.message()));
  }
  std::string probe = (path / ".writable-XXXXXX").string();
  const int fd = ::mkstemp(probe.data());
  if (fd < 0) {
    return BadInput(
        fmt::format("cannot write into the folder {}: {}; choose another folder", path.string(), std::strerror(errno)));
  }
  ::close(fd);
  ::unlink(probe.c_str());
  return {};
}

Result<fs::path> MakeNumberedDir(const fs::path& parent, const std::string& name) {
  RETURN_IF_ERROR(MakeWritableDir(parent));
  fs::path dir = parent / name;
  std::error_code error;
  for (int number = 2; !fs::create_directory(dir, error); ++number) {
    if (error) return BadInput(fmt::format("cannot create {}: {}", dir.string(), error.message()));
    dir = parent / fmt::format("{}-{}", name, number);
  }
  return dir;
}

fs::path CacheDir() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') return fs::path(xdg) / "moecap";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return fs::path(home) / ".cache" / "moecap";
  return TemporaryDir() / "moecap-cache";
}

void RaiseOpenFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

fs::path ExecutableDir() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? Absolute(".") : self.parent_path();
}

fs::path ShippedPath(std::string_view relative) {
  const fs::path here = ExecutableDir();
  for (const fs::path& root : {here / "../share/moecap", here / "../.."}) {
    fs::path candidate = (root / relative).lexically_normal();
    if (Exists(candidate)) return candidate;
  }
  return {};
}

}  // namespace moecap
