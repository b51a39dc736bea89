#include "load/closed_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "load/token_spread.h"

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

  void OnChunk(uint64_t ticket, const Chunk& chunk) override {
    record::RequestRecord& request = result_.requests[ticket];
    const double arrival_s = SinceOrigin(chunk.arrival_ns);
    request.token_s.insert(request.token_s.end(), static_cast<size_t>(chunk.tokens), arrival_s);
    request.token_ids.insert(request.token_ids.end(), chunk.token_ids.begin(), chunk.token_ids.end());
    request.chunk_tokens.push_back(chunk.tokens);
    request.output_tokens += chunk.tokens;
    if (chunk.reasoning) request.reasoning_tokens += chunk.tokens;
    if (!chunk.reasoning && chunk.tokens > 0 && !request.first_answer_s) request.first_answer_s = arrival_s;
  }

  void OnFinish(uint64_t ticket, Completion completion) override {
    record::RequestRecord& request = result_.requests[ticket];
    request.finish = completion.finish;
    request.input_tokens = completion.input_tokens;
    request.text = std::move(completion.text);
    request.error = std::move(completion.error);
    request.error_kind = completion.error_kind;
    request.http_status = completion.http_status;
    request.retries = completion.retries;
    request.tokens_source = completion.tokens_source;
    request.cached_input_tokens = completion.cached_input_tokens;
    request.server_prefill_s = completion.server_prefill_s;
    request.server_decode_s = completion.server_decode_s;
    CopyTimings(completion.timings, request);
    if (completion.tokens_source == record::TokensSource::kFinalUsage && completion.output_tokens) {
      Respread(*completion.output_tokens, request);
    }
    if (completion.reasoning_tokens) request.reasoning_tokens = *completion.reasoning_tokens;
    const bool one_each = std::all_of(request.chunk_tokens.begin(), request.chunk_tokens.end(), [](int n) { return n == 1; });
    if (one_each) request.chunk_tokens.clear();
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
  std::optional<double> InstantSinceOrigin(int64_t now_ns) const {
    return now_ns == 0 ? std::nullopt : std::optional(SinceOrigin(now_ns));
  }

  void CopyTimings(const Timings& timings, record::RequestRecord& request) const {
    if (timings.connect_start_ns != 0 && timings.connected_ns != 0)
      request.connect_s = static_cast<double>(timings.connected_ns - timings.connect_start_ns) * 1e-9;
    request.sent_s = InstantSinceOrigin(timings.sent_ns);
    request.headers_s = InstantSinceOrigin(timings.headers_ns);
    request.first_byte_s = InstantSinceOrigin(timings.first_byte_ns);
    request.end_s = InstantSinceOrigin(timings.end_ns);
  }

  // One provisional token a chunk becomes the total the server reported.
  static void Respread(int64_t tokens, record::RequestRecord& request) {
    if (request.chunk_tokens.empty() || tokens == request.output_tokens) return;
    const std::vector<double> chunk_s = std::move(request.token_s);
    request.token_s.clear();
    request.chunk_tokens = SpreadTokens(tokens, chunk_s.size());
    for (size_t i = 0; i < chunk_s.size(); ++i) {
      request.token_s.insert(request.token_s.end(), static_cast<size_t>(request.chunk_tokens[i]), chunk_s[i]);
    }
    request.output_tokens = tokens;
  }

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
    RETURN_IF_ERROR(system.Advance(recorder, kNever));
    const std::vector<int> free_clients = recorder.TakeFinishedClients();
    for (const int client : free_clients) RETURN_IF_ERROR(send_next(client));
    if (!free_clients.empty() && options.on_progress) options.on_progress(recorder.finished());
  }
  return std::move(recorder).Finish(sent, interrupted);
}

}  // namespace moecap::load
