#include "system/llamacpp/graph_run.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <utility>

#include "base/rng.h"
#include "system/llamacpp/batch.h"
#include "system/llamacpp/routing_probe.h"

namespace moecap::llamacpp {
namespace {

enum class Instrument { kNone, kRouting, kGraph };

// Both callbacks on one context: the counter decides nothing for the probe and vice versa.
struct Instruments {
  GraphCounter counter;
  RoutingProbe probe;

  static bool Callback(ggml_tensor* tensor, bool ask, void* self) {
    auto* both = static_cast<Instruments*>(self);
    const bool counts = GraphCounter::Callback(tensor, ask, &both->counter);
    const bool routes = RoutingProbe::Callback(tensor, ask, &both->probe);
    return ask ? counts || routes : true;
  }
};

// One context with one instrument. Slot i holds sequence i.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> Create(const EngineLibrary& library, const LoadedModel& model,
                                                const GraphRunOptions& options, Instrument instrument, const Clock& clock) {
    const int slots = *std::max_element(options.batches.begin(), options.batches.end());
    const int context = *std::max_element(options.contexts.begin(), options.contexts.end());
    const int prompt = options.chunk_tokens > 0 ? std::min(options.chunk_tokens, context) : context;
    auto runner = std::unique_ptr<Runner>(new Runner(library, clock, slots, std::max(slots, prompt)));
    runner->bracket_ = options.bracket;
    runner->threads_ = NewThreadPool(options.threads);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(context + 1) * static_cast<uint32_t>(slots);
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(std::max(slots, prompt));
    params.n_seq_max = static_cast<uint32_t>(slots);
    params.n_threads = params.n_threads_batch = options.threads;
    params.kv_unified = false;
    params.no_perf = true;
    params.flash_attn_type = options.flash_attention ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    if (instrument == Instrument::kRouting) {
      params.cb_eval = &RoutingProbe::Callback;
      params.cb_eval_user_data = &runner->instruments_.probe;
    } else if (instrument == Instrument::kGraph) {
      params.cb_eval = &Instruments::Callback;
      params.cb_eval_user_data = &runner->instruments_;
    }
    runner->context_.reset(llama_init_from_model(model.get(), params));
    if (!runner->context_) {
      return BadInput(fmt::format("no context of {} x {} tokens for {}: {}; ask for smaller --batches or --contexts", slots,
                                  context, model.path().string(), library.LastComplaint()));
    }
    if (runner->threads_) llama_attach_threadpool(runner->context_.get(), runner->threads_.get(), runner->threads_.get());
    runner->vocab_size_ = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    runner->ForgetCounts();
    return runner;
  }

  // Executes `tokens`; fills in the greedy choices. Latency in seconds.
  Result<double> Execute(std::vector<BatchToken>& tokens) {
    const llama_batch& filled = batch_.Fill(tokens);
    const bool brackets = std::exchange(brackets_next_, false);
    if (brackets) bracket_(true);
    const int64_t start_ns = clock_.NowNs();
    const int32_t failed = llama_decode(context_.get(), filled);
    llama_synchronize(context_.get());
    const int64_t end_ns = clock_.NowNs();
    if (brackets) bracket_(false);
    if (failed != 0)
      return Failed(fmt::format("the engine failed in a pass of {} tokens: {}", tokens.size(), library_.LastComplaint()));
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].output) continue;
      const float* logits = llama_get_logits_ith(context_.get(), static_cast<int32_t>(i));
      tokens[i].next_token = static_cast<int32_t>(std::max_element(logits, logits + vocab_size_) - logits);
    }
    return static_cast<double>(end_ns - start_ns) * 1e-9;
  }

  // The next execution is bracketed.
  void BracketNext() { brackets_next_ = true; }

  // Empties every slot, reads `prompt` into slot 0 and copies it to the others. Leaves the counts of the prefill to be taken.
  Result<double> Fill(std::vector<BatchToken>& prompt) {
    llama_memory_clear(memory(), false);
    double latency_s = 0;
    for (size_t done = 0; done < prompt.size(); done += static_cast<size_t>(batch_tokens_)) {
      const size_t end = std::min(prompt.size(), done + static_cast<size_t>(batch_tokens_));
      std::vector<BatchToken> chunk(prompt.begin() + static_cast<std::ptrdiff_t>(done),
                                    prompt.begin() + static_cast<std::ptrdiff_t>(end));
      ASSIGN_OR_RETURN(const double chunk_s, Execute(chunk));
      std::ranges::copy(chunk, prompt.begin() + static_cast<std::ptrdiff_t>(done));
      latency_s += chunk_s;
    }
    for (int slot = 1; slot < slots_; ++slot) llama_memory_seq_cp(memory(), 0, slot, -1, -1);
    return latency_s;
  }

  // Takes back what slots hold from `position` on. False for memories that cannot (recurrent state).
  bool Rewind(int position) {
    bool done = true;
    for (int slot = 0; slot < slots_; ++slot) done = llama_memory_seq_rm(memory(), slot, position, -1) && done;
    return done;
  }

  void ForgetCounts() {
    instruments_.counter.Take();
    instruments_.probe.TakeCounts();
  }
  GraphCount TakeGraph() { return instruments_.counter.Take(); }
  std::vector<std::vector<int32_t>> TakeRouting() { return instruments_.probe.TakeCounts(); }

 private:
  Runner(const EngineLibrary& library, const Clock& clock, int slots, int batch_tokens)
      : library_(library), clock_(clock), slots_(slots), batch_tokens_(batch_tokens), batch_(batch_tokens) {}

  llama_memory_t memory() { return llama_get_memory(context_.get()); }

  const EngineLibrary& library_;
  const Clock& clock_;
  int slots_;
  int batch_tokens_;  // in one execution at most
  Batch batch_;
  std::function<void(bool)> bracket_;
  bool brackets_next_ = false;
  Instruments instruments_;                                     // outlives the context that points to it
  ThreadPoolPtr threads_ = {nullptr, [](ggml_threadpool*) {}};  // likewise
  ContextPtr context_;
  int vocab_size_ = 0;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool SameChoices(const std::vector<BatchToken>& a, const std::vector<BatchToken>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const BatchToken& x, const BatchToken& y) { return x.next_token == y.next_token; });
}

// The three contexts and how one pass goes through them.
class Session {
 public:
  Session(const GraphRunOptions& options, std::unique_ptr<Runner> walker, std::unique_ptr<Runner> plain,
          std::unique_ptr<Runner> recorder)
      : options_(options), walker_(std::move(walker)), plain_(std::move(plain)), recorder_(std::move(recorder)) {}

  // The prefill pass of a context. Leaves every context filled.
  Result<GraphPass> Prefill(std::vector<BatchToken> prompt) {
    prompt_ = std::move(prompt);
    record::PassRecord record;
    record.kind = record::PassKind::kPrefill;
    record.sequences = {{0, static_cast<int64_t>(prompt_.size()), 1}};
    return Pass(prompt_, std::move(record),
                [](Runner& runner, std::vector<BatchToken>& tokens) { return runner.Fill(tokens); });
  }

  // A decode pass of `tokens`, all at the end of the prompt.
  Result<GraphPass> Decode(const std::vector<BatchToken>& tokens) {
    record::PassRecord record;
    record.kind = record::PassKind::kDecode;
    record.sequences = {{static_cast<int64_t>(prompt_.size()), 1, static_cast<int64_t>(tokens.size())}};
    return Pass(tokens, std::move(record), [this](Runner& runner, std::vector<BatchToken>& pass_tokens) -> Result<double> {
      if (!runner.Rewind(static_cast<int>(prompt_.size()))) {
        std::vector<BatchToken> prompt = prompt_;
        const Result<double> filled = runner.Fill(prompt);
        if (!filled.ok()) return filled;
      }
      runner.ForgetCounts();
      return runner.Execute(pass_tokens);
    });
  }

 private:
  using Step = std::function<Result<double>(Runner&, std::vector<BatchToken>&)>;

  Result<GraphPass> Pass(const std::vector<BatchToken>& tokens, record::PassRecord record, const Step& step) {
    GraphPass pass;
    pass.record = std::move(record);
    std::vector<BatchToken> counted = tokens;
    Runner& counter = walker_ ? *walker_ : *recorder_;
    counter.ForgetCounts();
    if (const Result<double> done = step(counter, counted); !done.ok()) return done.error();
    pass.graph = counter.TakeGraph();
    pass.record.expert_counts = counter.TakeRouting();
    for (const std::vector<int32_t>& layer : pass.record.expert_counts) {
      pass.record.distinct_experts.push_back(
          static_cast<double>(std::count_if(layer.begin(), layer.end(), [](int32_t n) { return n > 0; })));
    }
    if (options_.chunk_tokens > 0 && pass.record.kind == record::PassKind::kPrefill) {
      std::vector<BatchToken> again = tokens;
      if (plain_) {
        ASSIGN_OR_RETURN([[maybe_unused]] const double latency_s, step(*plain_, again));
      }
      return pass;
    }
    if (options_.repeats > 0) RETURN_IF_ERROR(Time(tokens, step, pass));
    if (options_.bracket) RETURN_IF_ERROR(Bracket(tokens, step, pass));
    return pass;
  }

  // A plain pass goes with every instrumented one, before and after it in turn, so that a machine that changes its speed
  // changes both and neither finds the warmer caches.
  Status Time(const std::vector<BatchToken>& tokens, const Step& step, GraphPass& pass) {
    std::vector<double> plain, recorded, replayed;
    std::vector<BatchToken> chosen = tokens;
    const auto run_plain = [&]() -> Status {
      ASSIGN_OR_RETURN(const double latency_s, step(*plain_, chosen));
      plain.push_back(latency_s);
      return {};
    };
    for (int i = 0; i < 2 * options_.repeats; ++i) {
      const bool plain_first = i / 2 % 2 == 0;
      if (plain_first) RETURN_IF_ERROR(run_plain());
      std::vector<BatchToken> again = tokens;
      recorder_->ForgetCounts();
      ASSIGN_OR_RETURN(const double instrumented_s, step(*recorder_, again));
      (i % 2 == 0 ? recorded : replayed).push_back(instrumented_s);
      if (!plain_first) RETURN_IF_ERROR(run_plain());
      const bool same = SameChoices(again, chosen) && recorder_->TakeRouting() == pass.record.expert_counts;
      pass.replay_matches = pass.replay_matches && same;
    }
    pass.times = {Median(plain), Median(recorded), Median(replayed)};
    return {};
  }

  Status Bracket(const std::vector<BatchToken>& tokens, const Step& step, const GraphPass& pass) {
    std::vector<BatchToken> again = tokens;
    if (pass.record.kind == record::PassKind::kDecode) plain_->BracketNext();
    ASSIGN_OR_RETURN([[maybe_unused]] const double latency_s, step(*plain_, again));
    return {};
  }

  const GraphRunOptions& options_;
  std::unique_ptr<Runner> walker_;
  std::unique_ptr<Runner> plain_;
  std::unique_ptr<Runner> recorder_;
  std::vector<BatchToken> prompt_;
};

Status CheckOptions(const GraphRunOptions& options) {
  const auto positive = [](const std::vector<int>& values) {
    return !values.empty() && std::all_of(values.begin(), values.end(), [](int value) { return value >= 1; });
  };
  if (!positive(options.batches)) return BadInput("--batches: give numbers of 1 or more");
  if (!positive(options.contexts)) return BadInput("--contexts: give numbers of 1 or more");
  if (options.threads < 1 || options.repeats < 0) return BadInput("--threads must be 1 or more, --repeats 0 or more");
  if (options.chunk_tokens < 0) return BadInput("--chunk: give a number of 1 or more");
  return {};
}

}  // namespace

Result<std::vector<GraphPass>> RunGraphPasses(const EngineLibrary& library, const std::shared_ptr<const LoadedModel>& model,
                                              const GraphRunOptions& options, const Clock& clock,
                                              const GraphRunProgress& progress) {
  RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<Runner> walker, plain, recorder;
  if (options.count_graph) {
    ASSIGN_OR_RETURN(walker, Runner::Create(library, *model, options, Instrument::kGraph, clock));
  }
  if (options.repeats > 0 || options.bracket) {
    ASSIGN_OR_RETURN(plain, Runner::Create(library, *model, options, Instrument::kNone, clock));
  }
  if (options.repeats > 0 || !options.count_graph) {
    ASSIGN_OR_RETURN(recorder, Runner::Create(library, *model, options, Instrument::kRouting, clock));
  }
  Session session(options, std::move(walker), std::move(plain), std::move(recorder));

  const auto vocab = static_cast<uint64_t>(llama_vocab_n_tokens(llama_model_get_vocab(model->get())));
  Rng rng(options.seed);
  std::vector<GraphPass> passes;
  const size_t prefills = options.chunk_tokens == 0 ? 1 : 0;
  const int total = static_cast<int>(options.contexts.size() * (options.batches.size() + prefills));
  const auto stopped = [&] { return progress && !progress(static_cast<int>(passes.size()), total); };
  const Error interrupted{ErrorKind::kInterrupted, "interrupted"};
  for (const int context : options.contexts) {
    std::vector<BatchToken> prompt;
    for (int i = 0; i < context; ++i) prompt.push_back({static_cast<int32_t>(rng.Below(vocab)), i, 0, i + 1 == context, -1});
    if (stopped()) return interrupted;
    ASSIGN_OR_RETURN(GraphPass prefill, session.Prefill(std::move(prompt)));
    if (options.chunk_tokens == 0) passes.push_back(std::move(prefill));
    for (const int batch : options.batches) {
      std::vector<BatchToken> tokens;
      for (int slot = 0; slot < batch; ++slot)
        tokens.push_back({static_cast<int32_t>(rng.Below(vocab)), context, slot, true, -1});
      if (stopped()) return interrupted;
      ASSIGN_OR_RETURN(GraphPass decode, session.Decode(tokens));
      passes.push_back(std::move(decode));
    }
  }
  if (stopped()) return interrupted;  // tells of the last pass too
  return passes;
}

}  // namespace moecap::llamacpp
