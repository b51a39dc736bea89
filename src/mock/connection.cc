#include "mock/connection.h"

#include <algorithm>

namespace moecap::mock {
namespace {

constexpr size_t kFillerBlock = 64 << 10;

}  // namespace

WriteState Outbox::Write(Transport& transport, int64_t now_ns) {
  if (resume_ns_ && *resume_ns_ > now_ns) return WriteState::kWaiting;
  resume_ns_.reset();
  const WriteState state = WriteBytes(transport, now_ns);
  if (state != WriteState::kDone) return state;
  return WriteFiller(transport);
}

WriteState Outbox::WriteBytes(Transport& transport, int64_t now_ns) {
  while (position_ < queue_.bytes.size()) {
    if (next_cut_ < queue_.cuts.size() && queue_.cuts[next_cut_].offset <= position_) {
      resume_ns_ = now_ns + queue_.cuts[next_cut_++].pause_ns;
      return WriteState::kWaiting;
    }
    size_t end =
        next_cut_ < queue_.cuts.size() ? std::min(queue_.cuts[next_cut_].offset, queue_.bytes.size()) : queue_.bytes.size();
    if (queue_.byte_gap_ns) end = position_ + 1;
    const long written = transport.Write(queue_.bytes.data() + position_, end - position_);
    if (written == Transport::kAgain) return WriteState::kWaiting;
    if (written < 0) return WriteState::kFailed;
    position_ += static_cast<size_t>(written);
    if (queue_.byte_gap_ns && position_ < queue_.bytes.size()) {
      resume_ns_ = now_ns + *queue_.byte_gap_ns;
      return WriteState::kWaiting;
    }
  }
  return WriteState::kDone;
}

WriteState Outbox::WriteFiller(Transport& transport) {
  if (filler_left_ == 0) return WriteState::kDone;
  std::string block;
  while (block.size() < kFillerBlock) block += queue_.filler;
  const size_t unit = queue_.filler.size();
  // A few blocks a turn: others are to be served too.
  for (int i = 0; i < 8 && filler_left_ > 0; ++i) {
    // The filler is periodic and its whole is a multiple of the period, so the rest says where in the period we are.
    const size_t phase = (unit - static_cast<size_t>(filler_left_) % unit) % unit;
    const size_t size = std::min(block.size() - phase, static_cast<size_t>(filler_left_));
    const long written = transport.Write(block.data() + phase, size);
    if (written == Transport::kAgain) return WriteState::kWaiting;
    if (written < 0) return WriteState::kFailed;
    filler_left_ -= written;
  }
  return filler_left_ == 0 ? WriteState::kDone : WriteState::kWaiting;
}

void Outbox::Clear() {
  queue_.Clear();
  position_ = next_cut_ = 0;
  filler_left_ = 0;
  resume_ns_.reset();
}

}  // namespace moecap::mock
