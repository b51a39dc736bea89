// The servers' own routes: SGLang /generate, llama-server /completion, TGI /generate[_stream], Ollama /api/generate and
// /api/chat.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "mock/format.h"

namespace moecap::mock {
namespace {

// Events carry all text and ids so far.
class SglangFormat final : public Format {
 public:
  explicit SglangFormat(const AnswerFacts& facts) : facts_(facts) {}

  void TokenEvent(const TokenRun& run, const Progress& progress, std::string& json) override {
    facts_.AppendText(run.ids, run.first_index, text_);
    ids_.insert(ids_.end(), run.ids.begin(), run.ids.end());
    // The routed experts belong to the last event, so that one is left to FinalEvent.
    AppendEvent(run.finish, progress, "", json);
  }
  bool FinalEvent(std::string_view finish, const Progress& progress, std::string_view routed, std::string& json) override {
    if (routed.empty()) return false;
    AppendEvent(finish, progress, routed, json);
    return true;
  }
  void ErrorEvent(std::string_view message, std::string& json) override { json += ErrorBody(Dialect::kVllm, 500, message); }

  std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                    std::string_view routed) override {
    std::string json;
    TokenEvent({ids, 0, finish}, progress, json);
    json.clear();
    AppendEvent(finish, progress, routed, json);
    return json;
  }

 private:
  void AppendEvent(std::string_view finish, const Progress& progress, std::string_view routed, std::string& json) const {
    json += "{\"text\":\"";
    json += text_;
    json += "\",\"output_ids\":";
    AppendTokenList(ids_, json);
    fmt::format_to(std::back_inserter(json), R"(,"meta_info":{{"id":"{}","finish_reason":)", facts_.id);
    if (finish == "length") {
      fmt::format_to(std::back_inserter(json), R"({{"type":"length","length":{}}})", progress.completion_tokens);
    } else if (finish == "stop") {
      json += R"({"type":"stop","matched":2})";
    } else if (finish == "abort") {
      json += R"({"type":"abort","message":"Aborted","status_code":500})";
    } else {
      json += "null";
    }
    fmt::format_to(std::back_inserter(json),
                   R"(,"prompt_tokens":{},"weight_version":"default","completion_tokens":{},"cached_tokens":{})",
                   facts_.prompt_tokens, progress.completion_tokens, progress.cached_tokens);
    if (!finish.empty()) {
      fmt::format_to(std::back_inserter(json), R"(,"e2e_latency":{:.6f})",
                     progress.queue_s + progress.prefill_s + progress.decode_s);
    }
    if (!routed.empty()) fmt::format_to(std::back_inserter(json), R"(,"routed_experts":"{}")", routed);
    json += "}}";
  }

  const AnswerFacts& facts_;
  std::string text_;
  std::vector<int32_t> ids_;
};

class LlamaFormat final : public Format {
 public:
  LlamaFormat(const ApiRequest& request, const AnswerFacts& facts) : request_(request), facts_(facts) {}
  bool ends_with_done() const override { return false; }

  bool ProgressEvent(const Progress& progress, std::string& json) override {
    if (!request_.return_progress) return false;
    // The 0 among the tokens is llama-server's own, and no token.
    json += R"({"index":0,"content":"","tokens":[0],"stop":false,"id_slot":-1,"tokens_predicted":0,"tokens_evaluated":)";
    AppendInteger(facts_.prompt_tokens, json);
    fmt::format_to(std::back_inserter(json),
                   R"(,"prompt_progress":{{"total":{0},"cache":{1},"processed":{0},"time_ms":{2}}}}})", facts_.prompt_tokens,
                   progress.cached_tokens, std::llround(progress.prefill_s * 1e3));
    return true;
  }
  void TokenEvent(const TokenRun& run, const Progress& progress, std::string& json) override {
    json += R"({"index":0,"content":")";
    facts_.AppendText(run.ids, run.first_index, json);
    json += R"(","tokens":)";
    AppendTokenList(request_.return_token_ids ? run.ids : std::span<const int32_t>(), json);
    json += R"(,"stop":false,"id_slot":-1,"tokens_predicted":)";
    AppendInteger(progress.completion_tokens, json);
    json += R"(,"tokens_evaluated":)";
    AppendInteger(facts_.prompt_tokens, json);
    if (request_.continuous_usage) {
      json += ',';
      AppendTimings(facts_, progress, json);
    }
    json += '}';
  }
  bool FinalEvent(std::string_view finish, const Progress& progress, std::string_view, std::string& json) override {
    AppendLast("", {}, finish, progress, json);
    return true;
  }
  void ErrorEvent(std::string_view message, std::string& json) override {
    json += ErrorBody(Dialect::kLlamaServer, 500, message);
  }
  std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                    std::string_view) override {
    std::string json;
    AppendLast(facts_.Text(ids, 0), ids, finish, progress, json);
    return json;
  }

 private:
  // `text`: escaped for JSON.
  void AppendLast(std::string_view text, std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                  std::string& json) const {
    json += R"({"index":0,"content":")";
    json += text;
    json += R"(","tokens":)";
    AppendTokenList(request_.return_token_ids ? ids : std::span<const int32_t>(), json);
    json += R"(,"id_slot":0,"stop":true,"model":)";
    AppendJsonString(facts_.model, json);
    fmt::format_to(std::back_inserter(json),
                   R"(,"tokens_predicted":{},"tokens_evaluated":{},"tokens_cached":{},"truncated":false,"stop_type":"{}",)",
                   progress.completion_tokens, facts_.prompt_tokens, facts_.prompt_tokens + progress.completion_tokens - 1,
                   finish == "stop"     ? "eos"
                   : finish == "length" ? "limit"
                                        : "none");
    AppendTimings(facts_, progress, json);
    json += '}';
  }

  const ApiRequest& request_;
  const AnswerFacts& facts_;
};

class TgiFormat final : public Format {
 public:
  explicit TgiFormat(const AnswerFacts& facts) : facts_(facts) {}
  Framing framing() const override { return Framing::kSseWithoutSpace; }
  bool ends_with_done() const override { return false; }

  // One token an event; a run of several becomes the event of its last, with all their text.
  void TokenEvent(const TokenRun& run, const Progress& progress, std::string& json) override {
    const size_t begin = text_.size();
    facts_.AppendText(run.ids, run.first_index, text_);
    fmt::format_to(std::back_inserter(json), R"({{"index":{},"token":{{"id":{},"text":"{}","logprob":-0.5,"special":{}}},)",
                   progress.completion_tokens, run.ids.back(), std::string_view(text_).substr(begin),
                   text_.size() == begin ? "true" : "false");
    if (run.finish.empty()) {
      json += R"("generated_text":null,"details":null})";
      return;
    }
    fmt::format_to(
        std::back_inserter(json),
        R"("generated_text":"{}","details":{{"finish_reason":"{}","generated_tokens":{},"seed":null,"input_length":{}}}}})",
        text_, Reason(run.finish), progress.completion_tokens, facts_.prompt_tokens);
  }
  bool FinalEvent(std::string_view, const Progress&, std::string_view, std::string&) override { return false; }
  void ErrorEvent(std::string_view message, std::string& json) override { json += ErrorBody(Dialect::kTgi, 500, message); }
  std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                    std::string_view) override {
    std::string json = fmt::format(
        R"({{"generated_text":"{}","details":{{"finish_reason":"{}","generated_tokens":{},"seed":null,"prefill":[],"tokens":[)",
        facts_.Text(ids, 0), Reason(finish), progress.completion_tokens);
    for (size_t i = 0; i < ids.size(); ++i) {
      const std::string text = facts_.Text(ids.subspan(i, 1), static_cast<int64_t>(i));
      fmt::format_to(std::back_inserter(json), R"({}{{"id":{},"text":"{}","logprob":-0.5,"special":{}}})", i == 0 ? "" : ",",
                     ids[i], text, text.empty());
    }
    return json + "]}}";
  }

 private:
  static std::string_view Reason(std::string_view finish) { return finish == "stop" ? "eos_token" : finish; }

  const AnswerFacts& facts_;
  std::string text_;
};

class OllamaFormat final : public Format {
 public:
  OllamaFormat(const ApiRequest& request, const AnswerFacts& facts)
      : facts_(facts), chat_(request.route == Route::kOllamaChat) {
    head_ = "{\"model\":";
    AppendJsonString(facts.model, head_);
    head_ += ",\"created_at\":\"" + facts.created_at + "\",";
  }
  Framing framing() const override { return Framing::kNdjson; }
  bool ends_with_done() const override { return false; }

  bool EmptyEvent(std::string& json) override {
    json += head_;
    AppendText({}, 0, json);
    json += ",\"done\":false}";
    return true;
  }
  void TokenEvent(const TokenRun& run, const Progress&, std::string& json) override {
    json += head_;
    AppendText(run.ids, run.first_index, json);
    json += ",\"done\":false}";
  }
  bool FinalEvent(std::string_view finish, const Progress& progress, std::string_view, std::string& json) override {
    json += head_;
    AppendText({}, 0, json);
    AppendDone(finish, progress, json);
    return true;
  }
  void ErrorEvent(std::string_view message, std::string& json) override { json += ErrorBody(Dialect::kOllama, 500, message); }
  std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                    std::string_view) override {
    std::string json = head_;
    AppendText(ids, 0, json);
    AppendDone(finish, progress, json);
    return json;
  }

 private:
  void AppendText(std::span<const int32_t> ids, int64_t first_index, std::string& json) const {
    const int64_t left = chat_ ? facts_.reasoning_tokens - first_index : 0;
    const auto thought = static_cast<size_t>(std::clamp<int64_t>(left, 0, static_cast<int64_t>(ids.size())));
    json += chat_ ? R"("message":{"role":"assistant","content":")" : R"("response":")";
    facts_.AppendText(ids.subspan(thought), first_index + static_cast<int64_t>(thought), json);
    json += '"';
    if (!chat_) return;
    if (thought > 0) json += ",\"thinking\":\"" + facts_.Text(ids.first(thought), first_index) + '"';
    json += '}';
  }
  // Counts of zero are left out, as Ollama does.
  void AppendDone(std::string_view finish, const Progress& progress, std::string& json) const {
    fmt::format_to(std::back_inserter(json), R"(,"done":true,"done_reason":"{}","total_duration":{},"load_duration":1000000)",
                   finish, std::llround((progress.queue_s + progress.prefill_s + progress.decode_s) * 1e9));
    const auto add = [&json](std::string_view key, int64_t value) {
      if (value != 0) fmt::format_to(std::back_inserter(json), R"(,"{}":{})", key, value);
    };
    add("prompt_eval_count", facts_.prompt_tokens);
    add("prompt_eval_duration", std::llround(progress.prefill_s * 1e9));
    add("eval_count", progress.completion_tokens);
    add("eval_duration", std::llround(progress.decode_s * 1e9));
    json += '}';
  }

  const AnswerFacts& facts_;
  bool chat_;
  std::string head_;
};

}  // namespace

std::unique_ptr<Format> MakeNativeFormat(const ApiRequest& request, const AnswerFacts& facts) {
  switch (request.route) {
    case Route::kSglangGenerate:
      return std::make_unique<SglangFormat>(facts);
    case Route::kLlamaCompletion:
      return std::make_unique<LlamaFormat>(request, facts);
    case Route::kTgiGenerate:
      return std::make_unique<TgiFormat>(facts);
    default:
      return std::make_unique<OllamaFormat>(request, facts);
  }
}

}  // namespace moecap::mock
