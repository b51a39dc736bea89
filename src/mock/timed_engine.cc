#include "mock/timed_engine.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace moecap::mock {
namespace {

constexpr int kMostTokensAtOnce = 4096;

int64_t ToNs(double seconds) { return std::llround(seconds * 1e9); }

}  // namespace

bool TimedEngine::Submit(EngineRequest request) {
  CHECK(!request.prompt.empty() && request.output_tokens >= 1);
  if (static_cast<int64_t>(streams_.size()) < options_.max_running) {
    const int64_t arrival_ns = request.arrival_ns;
    Start(std::move(request), arrival_ns);
  } else {
    waiting_.push_back(std::move(request));
  }
  return true;
}

void TimedEngine::Start(EngineRequest request, int64_t time_ns) {
  const uint64_t id = request.id;
  admissions_.push_back({id, time_ns, 0});
  Stream stream;
  stream.rng = Rng(Mix(request.seed, 0x74696d65));
  stream.request = std::move(request);
  stream.due_s = options_.ttft_s.Draw(stream.rng);
  stream.admission_ns = time_ns;
  due_.push({time_ns + ToNs(stream.due_s), id});
  streams_.emplace(id, std::move(stream));
}

void TimedEngine::AdmitWaiting(int64_t time_ns) {
  while (!waiting_.empty() && static_cast<int64_t>(streams_.size()) < options_.max_running) {
    EngineRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    const int64_t start_ns = std::max(time_ns, request.arrival_ns);
    Start(std::move(request), start_ns);
  }
}

void TimedEngine::Cancel(uint64_t id, int64_t now_ns) {
  std::erase_if(waiting_, [id](const EngineRequest& request) { return request.id == id; });
  if (streams_.erase(id) > 0) AdmitWaiting(now_ns);
}

void TimedEngine::Advance(int64_t now_ns, EngineOutput& out) {
  for (int tokens = 0; tokens < kMostTokensAtOnce && !due_.empty() && due_.top().time_ns <= now_ns; ++tokens) {
    const Due due = due_.top();
    due_.pop();
    const auto found = streams_.find(due.request);
    if (found == streams_.end()) continue;
    Stream& stream = found->second;
    const EngineRequest& request = stream.request;
    TokenEvent event{request.id, stream.produced++, 0, due.time_ns, false};
    event.last = stream.produced == request.output_tokens;
    event.token = event.last && request.ends_with_eos ? kEosToken : OutputToken(request.seed, event.index, options_.vocab);
    out.tokens.push_back(event);
    if (event.last) {
      streams_.erase(found);
      AdmitWaiting(due.time_ns);
      continue;
    }
    stream.due_s += options_.tpot_s.Draw(stream.rng);
    due_.push({stream.admission_ns + ToNs(stream.due_s), due.request});
  }
  out.admissions.insert(out.admissions.end(), admissions_.begin(), admissions_.end());
  admissions_.clear();
}

std::optional<int64_t> TimedEngine::NextNs() const {
  if (due_.empty()) return std::nullopt;
  return due_.top().time_ns;
}

EngineState TimedEngine::State() const {
  EngineState state;
  state.running = static_cast<int64_t>(streams_.size());
  state.waiting = static_cast<int64_t>(waiting_.size());
  return state;
}

}  // namespace moecap::mock
