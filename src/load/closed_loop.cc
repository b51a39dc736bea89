#include "load/closed_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moecap::load {
namespace {

// Turns a system's observations into records. Tickets are indices into the requests.
class Recorder final : public Observer {
 public:
  Recorder(std::span<const RequestSpec> requests, const record::CellId& cell, int64_t origin_ns)
      : cell_(cell), origin_ns_(origin_ns) {
    result_.requests.resize(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      result_.requests[i].id = requests[i].id;
      result_.requests[i].cell = cell;
      result_.requests[i].finish = record::FinishReason::kCancelled;
    }
  }

  void OnSend(uint64_t ticket, int client, int64_t now_ns) {
    record::RequestRecord& request = result_.requests[ticket];
    request.client = client;
    request.send_s = request.intended_send_s = SinceOrigin(now_ns);
  }

  void OnToken(uint64_t ticket, int64_t arrival_ns, int32_t token_id) override {
    record::RequestRecord& request = result_.requests[ticket];
    request.token_s.push_back(SinceOrigin(arrival_ns));
    request.token_ids.push_back(token_id);
    request.output_tokens = static_cast<int64_t>(request.token_ids.size());
  }

  void OnFinish(uint64_t ticket, Completion completion) override {
    record::RequestRecord& request = result_.requests[ticket];
    request.finish = completion.finish;
    request.input_tokens = completion.input_tokens;
    request.text = std::move(completion.text);
    request.error = std::move(completion.error);
    finished_clients_.push_back(request.client);
    ++finished_;
  }

  void OnPass(record::PassRecord pass, int64_t start_ns) override {
    pass.cell = cell_;
    pass.pass = static_cast<int64_t>(result_.passes.size());
    pass.start_s = SinceOrigin(start_ns);
    result_.passes.push_back(std::move(pass));
  }

  int64_t finished() const { return finished_; }
  // Clients whose request ended since the last call, in that order.
  std::vector<int> TakeFinishedClients() { return std::exchange(finished_clients_, {}); }

  LoadResult Finish(size_t sent, bool interrupted) && {
    result_.requests.resize(sent);
    result_.interrupted = interrupted;
    return std::move(result_);
  }

 private:
  double SinceOrigin(int64_t now_ns) const { return static_cast<double>(now_ns - origin_ns_) * 1e-9; }

  record::CellId cell_;
  int64_t origin_ns_;
  int64_t finished_ = 0;
  std::vector<int> finished_clients_;
  LoadResult result_;
};

}  // namespace

Result<LoadResult> RunClosedLoop(SystemUnderTest& system, std::span<const RequestSpec> requests,
                                 const ClosedLoopOptions& options, const Clock& clock) {
  if (options.clients < 1) return BadInput(fmt::format("concurrency {} is not possible; use 1 or more", options.clients));
  for (const RequestSpec& request : requests) RETURN_IF_ERROR(system.Validate(request));

  Recorder recorder(requests, options.cell, clock.NowNs());
  size_t sent = 0;
  const auto send_next = [&](int client) -> Status {
    if (sent == requests.size()) return {};
    const size_t ticket = sent++;
    recorder.OnSend(ticket, client, clock.NowNs());
    return system.Submit(requests[ticket], ticket);
  };

  for (int client = 0; client < options.clients; ++client) RETURN_IF_ERROR(send_next(client));
  bool interrupted = false;
  while (recorder.finished() < static_cast<int64_t>(requests.size())) {
    if (options.stop_requested && options.stop_requested()) {
      interrupted = true;
      system.CancelAll();
      break;
    }
    RETURN_IF_ERROR(system.Advance(recorder));
    const std::vector<int> free_clients = recorder.TakeFinishedClients();
    for (const int client : free_clients) RETURN_IF_ERROR(send_next(client));
    if (!free_clients.empty() && options.on_progress) options.on_progress(recorder.finished());
  }
  return std::move(recorder).Finish(sent, interrupted);
}

}  // namespace moecap::load
