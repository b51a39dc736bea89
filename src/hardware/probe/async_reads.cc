#include "hardware/probe/async_reads.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace moecap::hardware {

std::optional<AsyncReads> AsyncReads::Create(unsigned depth) {
  aio_context_t context = 0;
  if (::syscall(SYS_io_setup, depth, &context) != 0) return std::nullopt;
  return AsyncReads(context, depth);
}

AsyncReads::AsyncReads(AsyncReads&& other) noexcept : context_(std::exchange(other.context_, 0)), depth_(other.depth_) {}

AsyncReads::~AsyncReads() {
  if (context_ != 0) ::syscall(SYS_io_destroy, context_);
}

int AsyncReads::Run(int fd, char* memory, size_t bytes, int count, const std::function<uint64_t()>& next,
                    const std::function<void(const char*, uint64_t)>& arrived) {
  std::vector<iocb> reads(depth_);
  std::vector<io_event> events(depth_);
  std::vector<iocb*> ready;
  const auto prepare = [&](iocb& read) {
    read.aio_offset = static_cast<int64_t>(next());
    ready.push_back(&read);
  };
  int started = 0;
  for (unsigned i = 0; i < depth_ && started < count; ++i, ++started) {
    iocb& read = reads[i];
    read = {};
    read.aio_lio_opcode = IOCB_CMD_PREAD;
    read.aio_fildes = static_cast<uint32_t>(fd);
    read.aio_buf = reinterpret_cast<uint64_t>(memory + i * bytes);
    read.aio_nbytes = bytes;
    prepare(read);
  }
  int error = 0;
  long in_flight = 0;
  while (!ready.empty() || in_flight > 0) {
    if (!ready.empty()) {
      const long taken = ::syscall(SYS_io_submit, context_, static_cast<long>(ready.size()), ready.data());
      const bool later = taken < 0 && (errno == EINTR || (errno == EAGAIN && in_flight > 0));
      if (taken < 0 && !later) {
        error = errno;
        ready.clear();
      }
      if (taken > 0) ready.erase(ready.begin(), ready.begin() + taken);
      in_flight += std::max(taken, 0L);
    }
    if (in_flight == 0) continue;
    const long done = ::syscall(SYS_io_getevents, context_, 1L, static_cast<long>(depth_), events.data(), nullptr);
    if (done < 0 && errno != EINTR) return errno;
    for (long i = 0; i < done; ++i) {
      const io_event& event = events[static_cast<size_t>(i)];
      iocb& read = *reinterpret_cast<iocb*>(event.obj);
      --in_flight;
      if (event.res != static_cast<int64_t>(bytes)) {
        error = event.res < 0 ? static_cast<int>(-event.res) : ENODATA;
      } else {
        arrived(reinterpret_cast<const char*>(read.aio_buf), static_cast<uint64_t>(read.aio_offset));
      }
      if (error == 0 && started < count) {
        ++started;
        prepare(read);
      }
    }
    if (error != 0) ready.clear();
  }
  return error;
}

}  // namespace moecap::hardware
