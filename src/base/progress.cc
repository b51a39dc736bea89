#include "base/progress.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/units.h"

namespace moecap {
Progress::Progress(const Clock& clock, std::FILE* stream, bool is_terminal, std::string unit)
    : clock_(clock), stream_(stream), is_terminal_(is_terminal), unit_(std::move(unit)) {}

Progress::~Progress() {
  if (is_terminal_ && drawn_) std::fputs("\r\033[K", stream_);
}

void Progress::Update(int64_t done, int64_t total, const std::string& activity, const std::string& rest) {
  const int64_t now_ns = clock_.NowNs();
  if (!drawn_ || activity != activity_) {
    activity_ = activity;
    first_done_ = done;
    started_ns_ = now_ns;
  }
  const int64_t pause_ns = is_terminal_ ? 100'000'000 : 5'000'000'000;
  if (drawn_ && now_ns - last_ns_ < pause_ns && (done < total || !is_terminal_)) return;
  last_ns_ = now_ns;
  drawn_ = true;
  const double elapsed_s = static_cast<double>(now_ns - started_ns_) * 1e-9;
  const double rate_per_s = elapsed_s > 0 ? static_cast<double>(done - first_done_) / elapsed_s : 0;
  const std::string line = Line(done, total, rate_per_s, unit_, activity + rest, is_terminal_);
  if (is_terminal_) {
    fmt::print(stream_, "\r{}\033[K", line);
  } else {
    fmt::print(stream_, "{}\n", line);
  }
  std::fflush(stream_);
}

std::string Progress::Line(int64_t done, int64_t total, double rate_per_s, const std::string& unit, const std::string& activity,
                           bool bar) {
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  std::string line;
  if (bar) {
    constexpr int kWidth = 20;
    const int filled = static_cast<int>(share * kWidth);
    line = fmt::format("[{}{}] ", std::string(static_cast<size_t>(filled), '#'),
                       std::string(static_cast<size_t>(kWidth - filled), '-'));
  }
  line += fmt::format("{:3.0f} %  {}/{} {}", std::floor(100 * share), done, total, unit);
  if (rate_per_s > 0) {
    line += fmt::format("  {:.1f}/s  {} left", rate_per_s,
                        FormatSeconds(std::ceil(static_cast<double>(total - done) / rate_per_s)));
  }
  return line + "  " + activity;
}

}  // namespace moecap
