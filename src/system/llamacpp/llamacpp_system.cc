#include "system/llamacpp/llamacpp_system.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "load/likelihood_text.h"
#include "system/llamacpp/arg_max.h"
#include "system/llamacpp/batch.h"
#include "system/llamacpp/chat_template.h"
#include "system/llamacpp/kv_type.h"
#include "system/llamacpp/likelihood.h"
#include "system/llamacpp/ngram_drafts.h"
#include "system/llamacpp/routing_probe.h"
#include "system/llamacpp/vocabulary.h"

namespace moecap::llamacpp {
namespace {

struct Request {
  uint64_t ticket = 0;
  load::RequestSpec spec;
  std::vector<llama_token> prompt;
  size_t prefilled = 0;         // prompt tokens in the KV cache
  llama_token last_token = -1;  // to be decoded next
  int64_t generated = 0;
  std::vector<llama_token> history;  // prompt and output, from which drafts are made
  std::string text;
  std::optional<ContinuationScorer> scorer;  // of a request that generates nothing

  bool prefilling() const { return scorer || prefilled < prompt.size(); }
  int32_t position() const {
    return static_cast<int32_t>(prefilled) + static_cast<int32_t>(std::max<int64_t>(generated - 1, 0));
  }
};

int RowsOfDecode(const EngineOptions& options) { return options.slots * (1 + options.drafts.length); }

// With drafts the sequences of a pass have different numbers of rows. The engine computes such a batch as one pass where all
// sequences share one range of cells, each seeing its own; with a range for each it would make several passes of it.
bool SharesCells(const EngineOptions& options) { return options.slots > 1 && options.drafts.length > 0; }

Result<llama_context_params> ContextParams(const EngineOptions& options, bool on_gpu) {
  ASSIGN_OR_RETURN(const int kv_type, FindKvType(options.kv_type));
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(options.context_tokens) * static_cast<uint32_t>(options.slots);
  params.n_batch = params.n_ubatch = static_cast<uint32_t>(std::max(options.batch_tokens, RowsOfDecode(options)));
  params.n_seq_max = static_cast<uint32_t>(options.slots);
  params.n_threads = params.n_threads_batch = options.threads;
  params.kv_unified = SharesCells(options);  // else attention over a request's own cells only
  params.type_k = params.type_v = static_cast<ggml_type>(kv_type);
  if (options.float32_attention) params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.no_perf = true;
  params.offload_kqv = params.op_offload = on_gpu;
  return params;
}

// A pass must never need more experts of a layer together than the budget holds, however it routes.
Result<EngineOptions> WithinBudget(EngineOptions options, const ExpertCache* experts) {
  const int64_t most = experts != nullptr ? experts->MostTokens() : 0;
  if (most == 0) return options;
  if (RowsOfDecode(options) > most) {
    return BadInput(
        fmt::format("{} requests at once{} may use more experts of a layer than their budget holds, which is enough for {}{}; "
                    "raise the budget, or use fewer clients{}",
                    options.slots, options.drafts.length > 0 ? fmt::format(" with {} drafts each", options.drafts.length) : "",
                    most, options.drafts.length > 0 ? " tokens" : "", options.drafts.length > 0 ? " or drafts" : ""));
  }
  options.batch_tokens = static_cast<int>(std::min<int64_t>(options.batch_tokens, most));
  return options;
}

}  // namespace

struct LlamaCppSystem::Impl {
  Impl(const EngineLibrary& engine, const EngineOptions& engine_options, const Clock& steady_clock)
      : library(engine),
        options(engine_options),
        clock(steady_clock),
        threads(NewThreadPool(options.threads)),
        batch(std::max(options.batch_tokens, RowsOfDecode(options))) {
    slots.resize(static_cast<size_t>(options.slots));
  }

  // A context for the loaded model on the pool's threads; null when the engine has no room for it.
  ContextPtr NewContext(const llama_context_params& params) const {
    ContextPtr created(llama_init_from_model(model->get(), params));
    if (created && threads) llama_attach_threadpool(created.get(), threads.get(), threads.get());
    return created;
  }

  std::vector<llama_token> PromptTokens(const load::RequestSpec& spec) const {
    if (!spec.prompt_token_ids.empty()) return spec.prompt_token_ids;
    return Tokenize(vocab, chat_template ? ChatOf(spec) : spec.prompt);
  }

  // A prompt alone is one message of the user.
  std::string ChatOf(const load::RequestSpec& spec) const {
    const std::vector<load::Message> user = {{"user", spec.prompt}};
    const auto text = RenderChat(*chat_template, spec.messages.empty() ? user : spec.messages);
    CHECK(text.ok());  // Create has tried the template
    return *text;
  }

  // The prompt's tokens with each continuation; empty without continuations.
  std::vector<std::vector<llama_token>> WholeTokens(const load::RequestSpec& spec) const {
    std::vector<std::vector<llama_token>> whole;
    for (const std::string& continuation : spec.continuations) whole.push_back(Tokenize(vocab, spec.prompt + continuation));
    return whole;
  }

  // Moves waiting requests into free slots, lowest slot first.
  void Admit() {
    for (std::optional<Request>& slot : slots) {
      if (waiting.empty()) return;
      if (slot) continue;
      slot = std::move(waiting.front());
      waiting.pop_front();
    }
  }

  // The request whose prompt comes next: the earliest submitted.
  Request* NextPrefill(int32_t* slot_index) {
    Request* chosen = nullptr;
    for (size_t i = 0; i < slots.size(); ++i) {
      if (!slots[i] || !slots[i]->prefilling() || (chosen != nullptr && chosen->ticket < slots[i]->ticket)) continue;
      chosen = &*slots[i];
      *slot_index = static_cast<int32_t>(i);
    }
    return chosen;
  }

  std::vector<BatchToken> PrefillBatch(const Request& request, int32_t slot) const {
    const size_t count = std::min(request.prompt.size() - request.prefilled, static_cast<size_t>(options.batch_tokens));
    std::vector<BatchToken> tokens;
    tokens.reserve(count);
    for (size_t i = request.prefilled; i < request.prefilled + count; ++i) {
      tokens.push_back({request.prompt[i], static_cast<int32_t>(i), slot, i + 1 == request.prompt.size(), -1});
    }
    return tokens;
  }

  std::vector<int32_t> Draft(const Request& request) const {
    if (options.drafts.length == 0) return {};
    NgramDrafts drafts = options.drafts;
    const int64_t most =
        std::min<int64_t>(request.spec.max_output_tokens - request.generated, options.context_tokens - request.position());
    drafts.length = static_cast<int>(std::min<int64_t>(drafts.length, most - 1));
    return DraftNgram(request.history, drafts);
  }

  // The next token of a request and its drafts behind it.
  void AddRows(size_t slot, std::vector<BatchToken>& tokens) const {
    int32_t position = slots[slot]->position();
    tokens.push_back({slots[slot]->last_token, position, static_cast<int32_t>(slot), true, -1});
    for (const int32_t draft : Draft(*slots[slot])) tokens.push_back({draft, ++position, static_cast<int32_t>(slot), true, -1});
  }

  // All requests where they share their cells. Else the next run of neighbouring slots, so that each comes as often as the
  // others: the engine computes sequences together whose numbers follow each other, and would split another batch into several
  // passes behind our back.
  std::vector<BatchToken> DecodeBatch() {
    std::vector<BatchToken> tokens;
    if (SharesCells(options)) {
      for (size_t slot = 0; slot < slots.size(); ++slot) {
        if (slots[slot]) AddRows(slot, tokens);
      }
      return tokens;
    }
    size_t i = next_decoded;
    while (i < slots.size() && !slots[i]) ++i;
    if (i == slots.size()) {
      for (i = 0; i < slots.size() && !slots[i];) ++i;
    }
    for (; i < slots.size() && slots[i]; ++i) AddRows(i, tokens);
    next_decoded = i;
    return tokens;
  }

  // Executes one pass; fills in the greedy choice of each output row.
  Result<int64_t> Execute(llama_context* ctx, std::vector<BatchToken>& tokens, int64_t* start_ns) {
    const llama_batch& filled = batch.Fill(tokens);
    if (model->experts() != nullptr) model->experts()->BeginPass(clock);
    *start_ns = clock.NowNs();
    const int32_t failed = llama_decode(ctx, filled);
    llama_synchronize(ctx);
    const int64_t end_ns = clock.NowNs();
    if (failed != 0)
      return Failed(fmt::format("the engine failed in a pass of {} tokens: {}", tokens.size(), library.LastComplaint()));
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].output) continue;
      const float* logits = llama_get_logits_ith(ctx, static_cast<int32_t>(i));
      tokens[i].next_token = static_cast<llama_token>(ArgMax({logits, static_cast<size_t>(vocab_size)}));
    }
    return end_ns;
  }

  // The next pass of a request that scores continuations. Where a part of the cache cannot be forgotten, all of it is.
  ContinuationScorer::Step NextScoring(Request& request, int32_t slot) {
    const auto most = static_cast<size_t>(options.batch_tokens);
    ContinuationScorer::Step step = request.scorer->Next(slot, most);
    llama_memory_t memory = llama_get_memory(context.get());
    if (!step.forgets || llama_memory_seq_rm(memory, slot, step.kept, -1)) return step;
    llama_memory_seq_rm(memory, slot, -1, -1);
    freed.push_back(slot);
    request.scorer->StartOver();
    return request.scorer->Next(slot, most);
  }

  // Takes the logits of that pass; ends the request when all is scored.
  void AcceptScores(size_t slot, const ContinuationScorer::Step& step, int64_t arrival_ns, load::Observer& observer) {
    std::vector<std::span<const float>> logits;
    for (size_t i = 0; i < step.tokens.size(); ++i) {
      if (!step.tokens[i].output) continue;
      logits.emplace_back(llama_get_logits_ith(context.get(), static_cast<int32_t>(i)), static_cast<size_t>(vocab_size));
    }
    Request& request = *slots[slot];
    request.scorer->Take(step, logits);
    if (!request.scorer->done()) return;
    load::Completion completion;
    completion.input_tokens = static_cast<int64_t>(request.prompt.size());
    completion.text = load::LikelihoodText(request.scorer->log_likelihoods());
    const uint64_t ticket = request.ticket;
    FreeSlot(slot);
    observer.OnChunk(ticket, {.arrival_ns = arrival_ns});
    observer.OnFinish(ticket, std::move(completion));
  }

  void FreeSlot(size_t slot) {
    llama_memory_seq_rm(llama_get_memory(context.get()), static_cast<llama_seq_id>(slot), -1, -1);
    slots[slot].reset();
    freed.push_back(static_cast<int32_t>(slot));
  }

  // Takes tokens that one pass generated, up to the one that completes the request, which then ends.
  void Accept(size_t slot, std::span<const llama_token> tokens, int64_t arrival_ns, load::Observer& observer) {
    Request& request = *slots[slot];
    bool stopped = false, complete = false;
    size_t taken = 0;
    while (taken < tokens.size() && !complete) {
      const llama_token token = request.last_token = tokens[taken++];
      request.history.push_back(token);
      ++request.generated;
      const bool ended = !request.spec.ignore_end_token && llama_vocab_is_eog(vocab, token);
      if (!ended) request.text += Piece(vocab, token);
      stopped = CutAtStop(request) || ended;
      const bool full = request.position() >= options.context_tokens;
      complete = stopped || full || request.generated >= request.spec.max_output_tokens;
    }
    observer.OnChunk(request.ticket,
                     {.arrival_ns = arrival_ns, .tokens = static_cast<int32_t>(taken), .token_ids = tokens.first(taken)});
    if (!complete) return;
    load::Completion completion;
    completion.finish = stopped ? record::FinishReason::kStop : record::FinishReason::kLength;
    completion.input_tokens = static_cast<int64_t>(request.prompt.size());
    completion.text = std::move(request.text);
    const uint64_t ticket = request.ticket;
    FreeSlot(slot);
    observer.OnFinish(ticket, std::move(completion));
  }

  // Takes what a decode pass chose for a sequence: behind its last token, and behind each draft that came true. The cells of
  // the others are forgotten.
  void AcceptRows(const SequenceRows& sequence, int64_t arrival_ns, load::Observer& observer) {
    std::vector<llama_token> chosen;
    for (const BatchToken& row : sequence.rows.first(static_cast<size_t>(sequence.accepted) + 1))
      chosen.push_back(row.next_token);
    const auto slot = static_cast<size_t>(sequence.rows.front().slot);
    Accept(slot, chosen, arrival_ns, observer);
    if (!slots[slot] || chosen.size() == sequence.rows.size()) return;
    // Create has refused models whose memory cannot be cut.
    CHECK(llama_memory_seq_rm(llama_get_memory(context.get()), sequence.rows.front().slot, slots[slot]->position(), -1));
  }

  static bool CutAtStop(Request& request) {
    for (const std::string& stop : request.spec.stop) {
      const size_t found = request.text.find(stop);
      if (found == std::string::npos) continue;
      request.text.resize(found);
      return true;
    }
    return false;
  }

  const EngineLibrary& library;
  EngineOptions options;
  const Clock& clock;
  std::shared_ptr<const LoadedModel> model;
  ThreadPoolPtr threads;
  ContextPtr context;
  const llama_vocab* vocab = nullptr;
  int vocab_size = 0;
  std::optional<std::string> chat_template;  // of EngineOptions::chat
  Batch batch;
  std::vector<std::optional<Request>> slots;
  std::deque<Request> waiting;
  std::vector<int32_t> freed;  // slots emptied since the last pass
  size_t next_decoded = 0;     // the slot at which the next decode pass begins
  std::optional<PassLog> log;
};

LlamaCppSystem::LlamaCppSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LlamaCppSystem::~LlamaCppSystem() = default;

Result<std::unique_ptr<LlamaCppSystem>> LlamaCppSystem::Create(const EngineLibrary& library,
                                                               std::shared_ptr<const LoadedModel> model,
                                                               const EngineOptions& options, const Clock& clock) {
  ASSIGN_OR_RETURN(const EngineOptions possible, WithinBudget(options, model->experts()));
  auto impl = std::make_unique<Impl>(library, possible, clock);
  impl->model = std::move(model);
  ASSIGN_OR_RETURN(llama_context_params params, ContextParams(possible, impl->model->on_gpu()));
  if (impl->model->experts() != nullptr) {
    params.cb_eval = &ExpertCache::Callback;
    params.cb_eval_user_data = impl->model->experts();
  }
  impl->context = impl->NewContext(params);
  if (!impl->context && params.type_k != GGML_TYPE_F16) {
    return BadInput(fmt::format("the engine keeps no KV cache of type {} for {}: {}; leave kv out, or choose another type",
                                options.kv_type, impl->model->path().string(), library.LastComplaint()));
  }
  if (!impl->context) {
    return BadInput(fmt::format("no context of {} x {} tokens for {}: {}; lower concurrency or context_tokens", options.slots,
                                options.context_tokens, impl->model->path().string(), library.LastComplaint()));
  }
  if (options.drafts.length > 0 &&
      (llama_model_is_recurrent(impl->model->get()) || llama_model_is_hybrid(impl->model->get()))) {
    return BadInput(
        fmt::format("{} keeps a state that cannot forget refused drafts; leave out speculation", impl->model->path().string()));
  }
  impl->vocab = llama_model_get_vocab(impl->model->get());
  impl->vocab_size = llama_vocab_n_tokens(impl->vocab);
  if (options.chat) {
    impl->chat_template = ChatTemplateOf(impl->model->get());
    const std::string file = impl->model->path().string();
    if (!impl->chat_template) return BadInput(fmt::format("{} has no chat template; leave out chat", file));
    const load::Message trial[] = {{"user", "hello"}};
    if (const auto text = RenderChat(*impl->chat_template, trial); !text.ok()) return Annotate(file, text.error());
  }
  return std::unique_ptr<LlamaCppSystem>(new LlamaCppSystem(std::move(impl)));
}

Status LlamaCppSystem::Validate(const load::RequestSpec& request) {
  if (!request.messages.empty() && !impl_->chat_template)
    return BadInput(fmt::format("problem {}: a chat needs the model's template; set chat: true", request.id));
  if (!request.continuations.empty() && impl_->chat_template)
    return BadInput(fmt::format("problem {}: choices are compared behind a plain text; leave out chat", request.id));
  size_t tokens = impl_->PromptTokens(request).size();
  if (tokens == 0) return BadInput(fmt::format("problem {}: the prompt is empty", request.id));
  if (request.max_output_tokens < 1)
    return BadInput(fmt::format("problem {}: max_output_tokens must be 1 or more", request.id));
  for (const std::vector<llama_token>& whole : impl_->WholeTokens(request)) {
    if (whole.size() <= impl_->PromptTokens(request).size())
      return BadInput(fmt::format("problem {}: a continuation adds no token to the prompt", request.id));
    tokens = std::max(tokens, whole.size() - 1);
  }
  if (tokens >= static_cast<size_t>(impl_->options.context_tokens)) {
    return BadInput(fmt::format(
        "problem {}: its prompt of {} tokens does not fit a context of {} tokens; set context_tokens to {} or more", request.id,
        tokens, impl_->options.context_tokens, tokens + static_cast<size_t>(request.max_output_tokens)));
  }
  return {};
}

Status LlamaCppSystem::Submit(const load::RequestSpec& request, uint64_t ticket) {
  Request entry;
  entry.ticket = ticket;
  entry.spec = request;
  entry.prompt = entry.history = impl_->PromptTokens(request);
  if (!request.continuations.empty()) entry.scorer.emplace(impl_->WholeTokens(request), entry.prompt.size());
  impl_->waiting.push_back(std::move(entry));
  return {};
}

Status LlamaCppSystem::Advance(load::Observer& observer, int64_t until_ns) {
  Impl& impl = *impl_;
  impl.Admit();
  if (std::none_of(impl.slots.begin(), impl.slots.end(), [](const auto& slot) { return slot.has_value(); })) {
    CHECK(until_ns != load::kNever);
    std::this_thread::sleep_for(std::chrono::nanoseconds(until_ns - impl.clock.NowNs()));
    return {};
  }
  int32_t prefill_slot = -1;
  Request* prefilling = impl.NextPrefill(&prefill_slot);
  const bool scores = prefilling != nullptr && prefilling->scorer;
  ContinuationScorer::Step step;
  if (scores) step = impl.NextScoring(*prefilling, prefill_slot);
  std::vector<BatchToken> tokens = scores                  ? step.tokens
                                   : prefilling != nullptr ? impl.PrefillBatch(*prefilling, prefill_slot)
                                                           : impl.DecodeBatch();
  CHECK(!tokens.empty());

  std::vector<int32_t> freed_before = std::exchange(impl.freed, {});
  record::PassRecord pass;
  pass.kind = prefilling != nullptr ? record::PassKind::kPrefill : record::PassKind::kDecode;
  int64_t start_ns = 0;
  ASSIGN_OR_RETURN(const int64_t end_ns, impl.Execute(impl.context.get(), tokens, &start_ns));
  pass.latency_s = static_cast<double>(end_ns - start_ns) * 1e-9;
  const std::vector<SequenceRows> sequences = RowsBySequence(tokens);
  for (const SequenceRows& sequence : sequences) {
    pass.sequences.push_back({sequence.rows.front().position, std::ssize(sequence.rows), 1});
    if (prefilling == nullptr && impl.options.drafts.length > 0) pass.accepted_drafts.push_back(sequence.accepted);
  }
  ExpertCache::Pass experts;
  if (ExpertCache* cache = impl.model->experts()) {
    ASSIGN_OR_RETURN(experts, cache->EndPass());
    pass.expert_reads = experts.reads;
  }
  observer.OnPass(std::move(pass), start_ns);

  if (scores) {
    impl.AcceptScores(static_cast<size_t>(prefill_slot), step, end_ns, observer);
  } else if (prefilling != nullptr) {
    prefilling->prefilled += tokens.size();
    const BatchToken& last = tokens.back();
    if (last.output) impl.Accept(static_cast<size_t>(prefill_slot), {&last.next_token, 1}, end_ns, observer);
  } else {
    for (const SequenceRows& sequence : sequences) impl.AcceptRows(sequence, end_ns, observer);
  }
  if (impl.log) impl.log->push_back({std::move(freed_before), std::move(tokens), std::move(experts.expert_counts)});
  return {};
}

void LlamaCppSystem::Cancel(uint64_t ticket) {
  std::erase_if(impl_->waiting, [&](const Request& request) { return request.ticket == ticket; });
  for (size_t slot = 0; slot < impl_->slots.size(); ++slot) {
    if (impl_->slots[slot] && impl_->slots[slot]->ticket == ticket) impl_->FreeSlot(slot);
  }
}

void LlamaCppSystem::CancelAll() {
  impl_->waiting.clear();
  for (size_t slot = 0; slot < impl_->slots.size(); ++slot) {
    if (impl_->slots[slot]) impl_->FreeSlot(slot);
  }
}

void LlamaCppSystem::StartPassLog() {
  CHECK(impl_->waiting.empty());
  impl_->freed.clear();
  impl_->log.emplace();
}

PassLog LlamaCppSystem::TakePassLog() {
  CHECK(impl_->log.has_value());
  PassLog log = std::move(*impl_->log);
  impl_->log.reset();
  return log;
}

Result<ReplayedLog> LlamaCppSystem::ReplayRouting(const PassLog& log) {
  if (impl_->model->experts() != nullptr) return RoutingOf(log);
  RoutingProbe probe;
  const bool on_gpu = impl_->model->on_gpu();
  ASSIGN_OR_RETURN(llama_context_params params, ContextParams(impl_->options, on_gpu));
  params.cb_eval = &RoutingProbe::Callback;
  params.cb_eval_user_data = &probe;
  const ContextPtr context = impl_->NewContext(params);
  if (!context) return Failed("no second context for the routing replay: " + impl_->library.LastComplaint());
  probe.TakeCounts();

  ReplayedLog replayed;
  replayed.passes.reserve(log.size());
  for (const LoggedPass& pass : log) {
    for (const int32_t slot : pass.freed_slots) llama_memory_seq_rm(llama_get_memory(context.get()), slot, -1, -1);
    // Continuations that were scored one after the other follow the same prompt: what the last one left is forgotten.
    for (size_t i = 0; i < pass.tokens.size(); ++i) {
      const BatchToken& token = pass.tokens[i];
      if (i > 0 && token.slot == pass.tokens[i - 1].slot) continue;
      if (token.position > 0) llama_memory_seq_rm(llama_get_memory(context.get()), token.slot, token.position, -1);
    }
    std::vector<BatchToken> tokens = pass.tokens;
    int64_t start_ns = 0;
    auto executed = impl_->Execute(context.get(), tokens, &start_ns);
    if (!executed.ok()) return executed.error();
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].output) ++replayed.choices;
      if (tokens[i].next_token == pass.tokens[i].next_token) continue;
      if (!on_gpu) {
        return Failed(
            fmt::format("the routing replay chose another token in pass {}; routing would not belong to the timed run",
                        replayed.passes.size()));
      }
      ++replayed.differing;
    }
    replayed.passes.push_back({probe.TakeCounts()});
  }
  return replayed;
}

}  // namespace moecap::llamacpp
