#include "system/llamacpp/expert_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/rng.h"

namespace moecap::llamacpp {
namespace fs = std::filesystem;
namespace {

constexpr int kReaders = 4;  // enough to keep a disk busy with reads of some tens of KiB

size_t PageSize() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}
uint64_t PageDown(uint64_t value) { return value / PageSize() * PageSize(); }
uint64_t PageUp(uint64_t value) { return PageDown(value + PageSize() - 1); }

// The block of "blk.3.ffn_up_exps.weight"; -1 for every other name.
int ExpertBlock(std::string_view name) {
  constexpr std::string_view kBegin = "blk.", kEnd = "_exps.weight";
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return -1;
  int block = -1;
  const auto [end, error] = std::from_chars(name.data() + kBegin.size(), name.data() + name.size(), block);
  return error == std::errc() && *end == '.' ? block : -1;
}

struct GgufDeleter {
  void operator()(gguf_context* file) const { gguf_free(file); }
};
using GgufPtr = std::unique_ptr<gguf_context, GgufDeleter>;

int64_t Number(const gguf_context& file, const std::string& key) {
  const int64_t id = gguf_find_key(&file, key.c_str());
  if (id < 0) return 0;
  switch (gguf_get_kv_type(&file, id)) {
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(&file, id);
    case GGUF_TYPE_UINT16:
      return gguf_get_val_u16(&file, id);
    default:
      return 0;
  }
}

// Past the page cache, or -1.
int OpenDirect(const fs::path& path) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT); }

bool ReadFully(int file, char* target, size_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t count = ::pread(file, target, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = 0;  // the end of the file is no error of the system
    if (count <= 0) return false;
    target += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

std::vector<int64_t> ExpertLayout::BytesOfLayer() const {
  std::vector<int64_t> bytes(blocks.size());
  for (const ExpertTensor& tensor : tensors) bytes[static_cast<size_t>(tensor.layer)] += tensor.slice_bytes;
  return bytes;
}

int64_t ExpertLayout::TotalBytes() const {
  int64_t total = 0;
  for (const ExpertTensor& tensor : tensors) total += tensor.slice_bytes * experts;
  return total;
}

Result<ExpertLayout> ReadExpertLayout(const fs::path& path) {
  const GgufPtr file(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!file) return BadInput(fmt::format("cannot read {} as GGUF", path.string()));
  if (Number(*file, "split.count") > 1)
    return BadInput(fmt::format("{} is one of several files; merge them (llama-gguf-split --merge) to keep experts on disk",
                                path.string()));
  std::map<int, std::vector<ExpertTensor>> by_block;
  std::set<int64_t> experts;
  for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); ++i) {
    const std::string name = gguf_get_tensor_name(file.get(), i);
    const int block = ExpertBlock(name);
    if (block < 0) continue;
    const int64_t count = gguf_get_tensor_ne(file.get(), i)[2];
    experts.insert(count);
    by_block[block].push_back({name, 0, gguf_get_data_offset(file.get()) + gguf_get_tensor_offset(file.get(), i),
                               static_cast<int64_t>(gguf_get_tensor_size(file.get(), i)) / count});
  }
  if (by_block.empty()) return BadInput(fmt::format("{} has no routed experts that could be kept on disk", path.string()));
  if (experts.size() > 1)
    return BadInput(
        fmt::format("the layers of {} have different numbers of experts; they are all kept in memory", path.string()));
  ExpertLayout layout;
  layout.experts = static_cast<int>(*experts.begin());
  const int64_t architecture = gguf_find_key(file.get(), "general.architecture");
  if (architecture >= 0)
    layout.top_k =
        static_cast<int>(Number(*file, std::string(gguf_get_val_str(file.get(), architecture)) + ".expert_used_count"));
  if (layout.top_k < 1) return BadInput(fmt::format("{} does not say how many experts a token uses", path.string()));
  for (auto& [block, tensors] : by_block) {
    for (ExpertTensor& tensor : tensors) {
      tensor.layer = static_cast<int>(layout.blocks.size());
      layout.tensors.push_back(std::move(tensor));
    }
    layout.blocks.push_back(block);
  }
  return layout;
}

Result<double> MeasureExpertReads(const fs::path& path, const ExpertLayout& layout, const Clock& clock) {
  constexpr int64_t kDuration = 250'000'000;
  const int file = OpenDirect(path);
  if (file < 0) return Failed(fmt::format("no direct reads of {}: {}", path.string(), std::strerror(errno)));
  const int64_t start_ns = clock.NowNs();
  std::vector<std::thread> readers;
  std::vector<int64_t> bytes(kReaders);
  for (size_t reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      Rng rng(reader);
      std::vector<char> buffer;
      while (clock.NowNs() - start_ns < kDuration) {
        const ExpertTensor& tensor = layout.tensors[rng.Below(layout.tensors.size())];
        const uint64_t begin =
            tensor.offset + rng.Below(static_cast<uint64_t>(layout.experts)) * static_cast<uint64_t>(tensor.slice_bytes);
        const uint64_t first = PageUp(begin), last = PageDown(begin + static_cast<uint64_t>(tensor.slice_bytes));
        if (last <= first) return;
        buffer.resize(last - first + PageSize());
        char* aligned = reinterpret_cast<char*>(PageUp(reinterpret_cast<uint64_t>(buffer.data())));
        if (!ReadFully(file, aligned, last - first, first)) return;
        bytes[reader] += static_cast<int64_t>(last - first);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  const int64_t end_ns = clock.NowNs();
  ::close(file);
  int64_t total = 0;
  for (const int64_t own : bytes) total += own;
  if (total == 0 || end_ns <= start_ns) return Failed(fmt::format("no direct reads of {}", path.string()));
  return static_cast<double>(total) / (static_cast<double>(end_ns - start_ns) * 1e-9);
}

Result<std::unique_ptr<ExpertStore>> ExpertStore::Create(const fs::path& path, const ExpertLayout& layout,
                                                         const std::map<std::string, char*>& mapped) {
  std::unique_ptr<ExpertStore> store(new ExpertStore());
  store->path_ = path;
  store->file_ = OpenDirect(path);
  store->direct_ = store->file_ >= 0;
  if (!store->direct_) store->file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (store->file_ < 0) return BadInput(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  const size_t count = layout.blocks.size() * static_cast<size_t>(layout.experts);
  store->slices_.resize(count);
  store->unread_.resize(count);
  for (const ExpertTensor& tensor : layout.tensors) {
    const auto found = mapped.find(tensor.name);
    if (found == mapped.end()) return BadInput(fmt::format("the engine multiplies with no tensor {}", tensor.name));
    RETURN_IF_ERROR(store->Overlay(tensor, found->second, layout.experts));
  }
  for (int i = 0; i < kReaders; ++i) store->readers_.emplace_back([self = store.get()] { self->ReadLoop(); });
  return store;
}

ExpertStore::~ExpertStore() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  work_.notify_all();
  for (std::thread& reader : readers_) reader.join();
  if (file_ >= 0) ::close(file_);
}

// What the engine computes on must be the file's bytes at their place in the file's pages.
Status ExpertStore::Overlay(const ExpertTensor& tensor, char* address, int experts) {
  const auto begin = reinterpret_cast<uint64_t>(address);
  const auto slice = static_cast<uint64_t>(tensor.slice_bytes);
  const uint64_t end = begin + slice * static_cast<uint64_t>(experts);
  const uint64_t first = PageUp(begin), last = PageDown(end);
  const bool aligned = begin % PageSize() == tensor.offset % PageSize();
  if (!aligned)
    return BadInput(fmt::format("the engine has a copy of {} elsewhere; its experts cannot be left on disk", tensor.name));
  if (last > first) {
    std::vector<char> page(2 * PageSize());
    char* buffer = reinterpret_cast<char*>(PageUp(reinterpret_cast<uint64_t>(page.data())));
    if (!ReadFully(file_, buffer, PageSize(), tensor.offset + (first - begin)))
      return Failed(fmt::format("cannot read {}: {}", path_.string(), std::strerror(errno)));
    if (std::memcmp(buffer, reinterpret_cast<char*>(first), PageSize()) != 0)
      return BadInput(fmt::format("the engine changed {} when it loaded it; its experts cannot be left on disk", tensor.name));
    void* area = ::mmap(reinterpret_cast<void*>(first), last - first, PROT_READ | PROT_WRITE,
                        MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
      return Failed(fmt::format("no memory for the experts of {}: {}", tensor.name, std::strerror(errno)));
    (void)::madvise(area, last - first, MADV_NOHUGEPAGE);  // so that giving back 4 KiB gives them back
    areas_.emplace_back(static_cast<char*>(area), last - first);
    (void)::posix_fadvise(file_, static_cast<off_t>(tensor.offset), static_cast<off_t>(end - begin), POSIX_FADV_DONTNEED);
  }
  for (int expert = 0; expert < experts; ++expert) {
    const uint64_t own = begin + slice * static_cast<uint64_t>(expert);
    const uint64_t from = std::clamp(PageDown(own), first, std::max(first, last)),
                   to = std::clamp(PageUp(own + slice), first, std::max(first, last));
    const uint64_t inner = std::max(PageUp(own), first), inner_end = std::max(std::min(PageDown(own + slice), last), inner);
    if (to <= from) continue;
    slices_[static_cast<size_t>(tensor.layer) * static_cast<size_t>(experts) + static_cast<size_t>(expert)].push_back(
        {reinterpret_cast<char*>(from), to - from, tensor.offset + (from - begin), reinterpret_cast<char*>(inner),
         inner_end - inner});
  }
  return {};
}

void ExpertStore::Fetch(std::span<const int> experts, bool urgent) {
  {
    const std::lock_guard lock(mutex_);
    for (const int expert : experts) {
      const size_t count = slices_[static_cast<size_t>(expert)].size();
      unread_[static_cast<size_t>(expert)] = static_cast<int>(count);
      for (size_t i = 0; i < count; ++i) (urgent ? urgent_ : waiting_).push_back({expert, i});
    }
  }
  work_.notify_all();
}

bool ExpertStore::IsRead(std::span<const int> experts) const {
  return std::ranges::all_of(experts, [&](int expert) { return unread_[static_cast<size_t>(expert)] == 0; });
}

void ExpertStore::MakeUrgent(std::span<const int> experts) {
  std::erase_if(waiting_, [&](const Job& job) {
    const bool wanted = std::ranges::find(experts, job.expert) != experts.end();
    if (wanted) urgent_.push_back(job);
    return wanted;
  });
}

Status ExpertStore::Await(std::span<const int> experts) {
  std::unique_lock lock(mutex_);
  if (!IsRead(experts)) {
    MakeUrgent(experts);
    work_.notify_all();
    done_.wait(lock, [&] { return IsRead(experts); });
  }
  if (error_) return *error_;
  return {};
}

void ExpertStore::Release(std::span<const int> experts) {
  {
    std::unique_lock lock(mutex_);
    // What nobody has begun to read is not read at all.
    for (std::deque<Job>* jobs : {&urgent_, &waiting_}) {
      std::erase_if(*jobs, [&](const Job& job) {
        const bool given_up = std::ranges::find(experts, job.expert) != experts.end();
        if (given_up) --unread_[static_cast<size_t>(job.expert)];
        return given_up;
      });
    }
    done_.wait(lock, [&] { return IsRead(experts); });
  }
  for (const int expert : experts) {
    for (const Slice& slice : slices_[static_cast<size_t>(expert)]) {
      if (slice.inner_bytes > 0) (void)::madvise(slice.inner, slice.inner_bytes, MADV_DONTNEED);
    }
  }
}

void ExpertStore::ReadLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return ending_ || !urgent_.empty() || !waiting_.empty(); });
    if (ending_) return;
    std::deque<Job>& jobs = urgent_.empty() ? waiting_ : urgent_;
    const Job job = jobs.front();
    jobs.pop_front();
    const Slice& slice = slices_[static_cast<size_t>(job.expert)][job.slice];
    lock.unlock();
    const Status read = Read(slice);
    lock.lock();
    if (!read.ok() && !error_) error_ = read.error();
    bytes_read_ += static_cast<int64_t>(slice.bytes);
    if (--unread_[static_cast<size_t>(job.expert)] == 0) done_.notify_all();
  }
}

Status ExpertStore::Read(const Slice& slice) const {
  if (!ReadFully(file_, slice.begin, slice.bytes, slice.offset))
    return Failed(
        fmt::format("cannot read experts from {}: {}", path_.string(), errno != 0 ? std::strerror(errno) : "it ends early"));
  if (!direct_)
    (void)::posix_fadvise(file_, static_cast<off_t>(slice.offset), static_cast<off_t>(slice.bytes), POSIX_FADV_DONTNEED);
  return {};
}

int64_t ExpertStore::TakeBytesRead() {
  const std::lock_guard lock(mutex_);
  return std::exchange(bytes_read_, 0);
}

int64_t ExpertStore::ResidentBytes() const {
  int64_t pages = 0;
  for (const auto& [begin, bytes] : areas_) {
    std::vector<unsigned char> present(bytes / PageSize());
    if (::mincore(begin, bytes, present.data()) != 0) continue;
    pages += std::ranges::count_if(present, [](unsigned char page) { return (page & 1) != 0; });
  }
  return pages * static_cast<int64_t>(PageSize());
}

}  // namespace moecap::llamacpp
