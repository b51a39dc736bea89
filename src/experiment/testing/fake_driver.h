// Systems in fake time, whose every token, pass and expert is known.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "experiment/driver.h"

namespace moecap::experiment {

inline constexpr int64_t kMs = 1'000'000;

// Two MoE layers of 4 experts, top-2: attention 100 B, each expert 10 B, head 50 B, one KV byte pair a token.
inline model::ModelSpec SmallMoe() {
  model::ModelSpec spec;
  spec.id = "small";
  spec.model_type = "test";
  spec.weight_type = "F16";
  spec.kv_bits = 8;
  spec.vocab = 10;
  spec.hidden = 4;
  model::LayerSpec layer;
  layer.attention.kind = model::AttentionKind::kGqa;
  layer.attention.caches = {{.elements = 2, .flops_per_entry = 4}};
  layer.ffn.experts = 4;
  layer.ffn.top_k = 2;
  layer.weights[model::TensorClass::kAttention] = {50, 100, 50, 100};
  layer.weights[model::TensorClass::kRoutedExpert] = {20, 40, 20, 40};
  spec.layers = {layer, layer};
  spec.ends[model::TensorClass::kHead] = {25, 50, 25, 50};
  return spec;
}

// Prefill takes 20 ms, a decode step 10 ms; every request generates 3 tokens. One request at a time prefills.
class ScriptedSystem final : public load::SystemUnderTest {
 public:
  // Its tokens are read `kernel_delay_ns` after the kernel had them; -1 = not known.
  ScriptedSystem(FakeClock& clock, int64_t kernel_delay_ns) : clock_(clock), kernel_delay_ns_(kernel_delay_ns) {}
  Status Validate(const load::RequestSpec& request) override {
    return request.prompt.size() > 200 ? Status(BadInput("the prompt does not fit")) : Status();
  }
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override {
    waiting_.push_back({ticket, request.id, 0});
    return {};
  }
  Status Advance(load::Observer& observer, int64_t) override {
    record::PassRecord pass;
    const int64_t start_ns = clock_.NowNs();
    std::deque<Entry> batch;
    if (!waiting_.empty()) {
      pass.kind = record::PassKind::kPrefill;
      pass.sequences = {{0, 5, 1}};
      clock_.AdvanceNs(20 * kMs);
      batch.push_back(waiting_.front());
      waiting_.pop_front();
    } else {
      for (const Entry& entry : running_) pass.sequences.push_back({5 + entry.generated - 1, 1, 1});
      clock_.AdvanceNs(10 * kMs);
      std::swap(batch, running_);
    }
    pass.latency_s = static_cast<double>(clock_.NowNs() - start_ns) * 1e-9;
    observer.OnPass(pass, start_ns);
    for (Entry entry : batch) {
      const int32_t token_id = 100 + entry.generated;
      observer.OnChunk(entry.ticket,
                       {.arrival_ns = clock_.NowNs(), .token_ids = {&token_id, 1}, .kernel_delay_ns = kernel_delay_ns_});
      if (++entry.generated == 3) {
        observer.OnFinish(entry.ticket, {record::FinishReason::kStop, 5, entry.id == "2" ? "no idea" : "#### 7", ""});
      } else {
        running_.push_back(entry);
      }
    }
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override {
    waiting_.clear();
    running_.clear();
  }

 private:
  struct Entry {
    uint64_t ticket;
    std::string id;
    int generated;
  };
  FakeClock& clock_;
  int64_t kernel_delay_ns_;
  std::deque<Entry> waiting_, running_;
};

// What drivers saw, and how they behave.
struct DriverLog {
  int routings = 0, starts = 0, flushes = 0, head_room_streams = 0;
  double replay_same_tokens = 1;        // of the engines' second executions
  hardware::UsedDevices used;           // devices of every system
  std::vector<load::RequestSpec> seen;  // by servers
  bool takes_ids = true;
  std::optional<Vocabulary> vocabulary = Vocabulary{32000, {}, "fake"};
  std::optional<int64_t> context_tokens;
  std::deque<load::ServerCounters> counters;  // what the server's page says, time by time; then nothing
  std::string change;                         // of the server
  std::vector<ServerCapability> capabilities;
  std::function<int64_t(size_t index)> service_ns;  // of the server's request of that index; empty: 10 ms
  // What a server says to a control question; empty: nothing but made-up tokens.
  std::function<std::string(const load::RequestSpec& request)> say;
  std::function<record::RequestError(const load::RequestSpec& request)> fail;
  bool tells_experts = true;       // a server with a model
  routing::RoutedExperts experts;  // of each of its answers; empty: ScriptedExperts()
  int64_t kernel_delay_ns = -1;    // of a server of a known model: how late its tokens are read
  int questions_for_experts = 0;   // calls
  int asked_for_experts = 0;       // requests
  std::string capture_flags;       // with which a server is started anew to be asked for them
  bool interrupts_capture = false;
  int starts_when_asked = 0;  // `starts` at the first question
};

// Answers each request after a queueing delay that grows with what is in flight, in fake time.
class QueueSystem final : public load::SystemUnderTest {
 public:
  QueueSystem(FakeClock& clock, DriverLog& log) : clock_(clock), log_(log) {}
  Status Validate(const load::RequestSpec&) override { return {}; }
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override {
    log_.seen.push_back(request);
    const int64_t start_ns = std::max(clock_.NowNs(), busy_until_ns_);
    busy_until_ns_ = start_ns + (log_.service_ns ? log_.service_ns(log_.seen.size() - 1) : kServiceNs);
    waiting_.push_back({ticket, busy_until_ns_, request.max_output_tokens, std::ssize(request.prompt_token_ids),
                        log_.say ? log_.say(request) : "", log_.fail ? log_.fail(request) : record::RequestError::kNone});
    return {};
  }
  Status Advance(load::Observer& observer, int64_t until_ns) override {
    const int64_t next_ns = waiting_.empty() ? until_ns : std::min(until_ns, waiting_.front().end_ns);
    clock_.AdvanceNs(std::max<int64_t>(0, next_ns - clock_.NowNs()));
    while (!waiting_.empty() && waiting_.front().end_ns <= clock_.NowNs()) {
      const Waiting done = waiting_.front();
      waiting_.pop_front();
      const bool failed = done.error != record::RequestError::kNone;
      for (int64_t token = 0; token < done.tokens && !failed; ++token)
        observer.OnChunk(done.ticket, {.arrival_ns = clock_.NowNs()});
      load::Completion completion;
      completion.finish = failed ? record::FinishReason::kError : record::FinishReason::kLength;
      completion.error_kind = done.error;
      if (failed) completion.error = "the connection was reset";
      completion.input_tokens = done.input_tokens;
      completion.text = done.text;
      observer.OnFinish(done.ticket, std::move(completion));
    }
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override { waiting_.clear(); }

  static constexpr int64_t kServiceNs = 10'000'000;  // 100 requests/s

 private:
  struct Waiting {
    uint64_t ticket;
    int64_t end_ns, tokens, input_tokens;
    std::string text;
    record::RequestError error;
  };
  FakeClock& clock_;
  DriverLog& log_;
  std::deque<Waiting> waiting_;
  int64_t busy_until_ns_ = 0;
};

// The experts of one of ScriptedSystem's answers: 5 tokens in, 3 out.
inline routing::RoutedExperts ScriptedExperts() {
  routing::RoutedExperts experts{7, 2, 2, {}};
  for (int row = 0; row < 7; ++row) {
    for (const int id : {row % 4, (row + 1) % 4, 0, 1 + row % 3}) experts.ids.push_back(static_cast<uint16_t>(id));
  }
  return experts;
}

// An engine in this process (ScriptedSystem), or a server: one of a known model is a ScriptedSystem, too, else a QueueSystem.
class FakeDriver final : public SystemDriver {
 public:
  FakeDriver(const SystemConfig& system, FakeClock& clock, DriverLog& log) : clock_(clock), log_(log) {
    description_.name = system.name;
    description_.in_process = !system.server;
    description_.engine = system.server ? "fake 1.0" : "scripted";
    description_.model.id = "m";
    if (system.server) {
      description_.url = system.server->urls.empty() ? "http://launched:1" : system.server->urls.front();
      description_.api = system.server->api;
      description_.server_here = system.machine.here;
    }
    if (!system.server || !system.served.empty()) {
      description_.model = SmallMoe();
    }
    description_.capabilities = log.capabilities;
    description_.devices.energy = log.used;
    description_.description = description_.engine;
  }
  const SystemDescription& description() const override { return description_; }
  Result<std::unique_ptr<SystemInstance>> Start(const StartOptions& options) override {
    ++log_.starts;
    return std::unique_ptr<SystemInstance>(new Instance(!description_.model.layers.empty(), options.threads, clock_, log_));
  }
  bool TakesTokenIds() const override { return log_.takes_ids; }
  std::optional<Vocabulary> KnownVocabulary() override { return log_.vocabulary; }
  std::optional<int64_t> ContextTokens(int64_t) override { return log_.context_tokens; }
  std::optional<load::ServerCounters> CountersSoFar() override {
    if (log_.counters.empty()) return std::nullopt;
    const load::ServerCounters counters = log_.counters.front();
    log_.counters.pop_front();
    return counters;
  }
  std::string WhatChanged() override { return log_.change; }
  bool CanIgnoreEndToken() const override { return true; }
  Status FlushPrefixCache() override {
    ++log_.flushes;
    return {};
  }
  std::optional<Passes> PassesOf() const override {
    return Passes{{metrics::PrefillBatching::kAlone, std::nullopt}, "", false};
  }
  Result<Experts> AskForExperts(std::span<const load::RequestSpec> requests, int, const std::function<bool()>&) override {
    if (log_.interrupts_capture) return Error{ErrorKind::kInterrupted, "interrupted"};
    ++log_.questions_for_experts;
    if (!log_.tells_experts) return BadInput("start the server with --enable-experts");
    if (log_.asked_for_experts == 0) log_.starts_when_asked = log_.starts;
    log_.asked_for_experts += static_cast<int>(requests.size());
    Experts experts;
    for (size_t i = 0; i < requests.size(); ++i)
      experts.answers.push_back({{100, 101, 102}, log_.experts.empty() ? ScriptedExperts() : log_.experts, ""});
    return experts;
  }
  std::string CaptureFlags() const override { return log_.capture_flags; }
  Result<double> MeasureHeadRoom(int streams, int) override {
    log_.head_room_streams = streams;
    return 1e6;
  }

 private:
  class Instance final : public SystemInstance {
   public:
    Instance(bool engine, int threads, FakeClock& clock, DriverLog& log) : log_(log) {
      for (int i = 0; i < threads; ++i) {
        if (engine) {
          systems_.push_back(std::make_unique<ScriptedSystem>(clock, log.kernel_delay_ns));
        } else {
          systems_.push_back(std::make_unique<QueueSystem>(clock, log));
        }
      }
    }
    std::vector<load::SystemUnderTest*> systems() override {
      std::vector<load::SystemUnderTest*> systems;
      for (const auto& system : systems_) systems.push_back(system.get());
      return systems;
    }
    Result<double> AddRouting(std::vector<record::PassRecord>& passes) override {
      ++log_.routings;
      for (auto& pass : passes) {
        pass.distinct_experts = {2, 3};
        pass.expert_counts = {{1, 1, 0, 0}, {1, 0, 1, 1}};
      }
      return log_.replay_same_tokens;
    }

   private:
    std::vector<std::unique_ptr<load::SystemUnderTest>> systems_;
    DriverLog& log_;
  };

  FakeClock& clock_;
  DriverLog& log_;
  SystemDescription description_;
};

}  // namespace moecap::experiment
