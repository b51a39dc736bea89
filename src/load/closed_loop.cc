#include "load/closed_loop.h"

#include <fmt/format.h>

#include "load/recorder.h"

namespace moecap::load {

Result<LoadResult> RunClosedLoop(SystemUnderTest& system, std::span<const RequestSpec> requests,
                                 const ClosedLoopOptions& options, const Clock& clock) {
  if (options.clients < 1) return BadInput(fmt::format("concurrency {} is not possible; use 1 or more", options.clients));
  std::vector<std::string> ids;
  for (const RequestSpec& request : requests) {
    RETURN_IF_ERROR(system.Validate(request));
    ids.push_back(request.id);
  }

  Recorder recorder(std::move(ids), options.cell, options.origin_ns.value_or(clock.NowNs()), options.events);
  size_t sent = 0;
  const auto send_next = [&](int client) -> Status {
    if (sent == requests.size()) return {};
    const size_t ticket = sent++;
    const int64_t now_ns = clock.NowNs();
    recorder.OnSend(ticket, client, now_ns, now_ns);
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
    RETURN_IF_ERROR(system.Advance(recorder, kNever));
    RETURN_IF_ERROR(recorder.FlushEvents(clock.NowNs()));
    const std::vector<uint64_t> finished = recorder.TakeFinished();
    for (const uint64_t ticket : finished) RETURN_IF_ERROR(send_next(recorder.client_of(ticket)));
    if (!finished.empty() && options.on_progress) options.on_progress(recorder.finished());
  }
  return std::move(recorder).Finish(sent, interrupted);
}

}  // namespace moecap::load
