// The OpenAI routes /v1/completions and /v1/chat/completions as each server writes them.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "mock/format.h"

namespace moecap::mock {
namespace {

class OpenAiFormat final : public Format {
 public:
  OpenAiFormat(Dialect dialect, const ApiRequest& request, const AnswerFacts& facts)
      : dialect_(dialect), request_(request), facts_(facts), chat_(request.route == Route::kChat) {
    std::string model;
    AppendJsonString(facts.model, model);
    const char* prefix = chat_ || dialect == Dialect::kLlamaServer ? "chatcmpl-" : "cmpl-";
    head_ = fmt::format(R"({{"id":"{}{}","object":"{}","created":{},"model":{},)", prefix, facts.id,
                        chat_ ? "chat.completion.chunk" : "text_completion", facts.created_s, model);
    whole_head_ = fmt::format(R"({{"id":"{}{}","object":"{}","created":{},"model":{},)", prefix, facts.id,
                              chat_ ? "chat.completion" : "text_completion", facts.created_s, model);
    if (dialect == Dialect::kLlamaServer || dialect == Dialect::kTgi || dialect == Dialect::kOllama) {
      head_ += R"("system_fingerprint":"moecap-mock",)";
      whole_head_ += R"("system_fingerprint":"moecap-mock",)";
    }
    token_head_ = head_ + (chat_ ? R"("choices":[{"index":0,"delta":{)" : R"("choices":[{"index":0,"text":")");
    // TGI and Ollama name the role in every delta.
    role_in_deltas_ = dialect == Dialect::kTgi || dialect == Dialect::kOllama;
    if (chat_ && role_in_deltas_) token_head_ += R"("role":"assistant",)";
    separate_finish_ =
        dialect == Dialect::kLlamaServer || dialect == Dialect::kOllama || (chat_ && dialect == Dialect::kSglang);
  }

  bool RoleEvent(std::string& json) override {
    if (!chat_ || role_in_deltas_) return false;
    json += head_;
    json += R"("choices":[{"index":0,"delta":{"role":"assistant","content":)";
    json += dialect_ == Dialect::kLlamaServer ? "null" : "\"\"";
    json += '}';
    AppendChoiceEnd("", {}, 0, json);
    if (dialect_ == Dialect::kLlamaServer) {
      json += '}';
    } else {
      AppendUsageOf({}, json);
    }
    return true;
  }

  bool EmptyEvent(std::string& json) override {
    json += token_head_;
    json += chat_ ? R"("content":""})" : "\"";
    AppendChoiceEnd("", {}, -1, json);
    AppendUsageOf({}, json);
    return true;
  }

  void TokenEvent(const TokenRun& run, const Progress& progress, std::string& json) override {
    // llama-server's chat has no event for a token without text.
    if (chat_ && dialect_ == Dialect::kLlamaServer && facts_.Text(run.ids, run.first_index).empty()) return;
    json += token_head_;
    if (chat_) {
      AppendDelta(run, json);
      json += '}';
    } else {
      facts_.AppendText(run.ids, run.first_index, json);
      json += '"';
    }
    AppendChoiceEnd(separate_finish_ ? std::string_view() : run.finish, run.ids, run.first_index, json);
    AppendUsageOf(progress, json);
  }

  bool FinishEvent(std::string_view finish, const Progress& progress, std::string& json) override {
    if (!separate_finish_) return false;
    json += head_;
    json += chat_ ? R"("choices":[{"index":0,"delta":{})" : R"("choices":[{"index":0,"text":"")";
    AppendChoiceEnd(finish, {}, -1, json);
    if (dialect_ != Dialect::kLlamaServer) {
      AppendUsageOf(progress, json);
      return true;
    }
    // Its last event carries the timings; a completion's last event is this one and always has the usage too.
    if (!chat_) {
      json += ",\"usage\":";
      AppendUsage(progress, json);
    }
    if (!chat_ || !request_.include_usage) {
      json += ',';
      AppendTimings(facts_, progress, json);
    }
    json += '}';
    return true;
  }

  bool FinalEvent(std::string_view, const Progress& progress, std::string_view routed, std::string& json) override {
    const bool sgl_extra = !routed.empty() && dialect_ == Dialect::kSglang;
    if (!request_.include_usage && !sgl_extra) return false;
    if (dialect_ == Dialect::kLlamaServer && !chat_) return false;
    json += head_;
    json += R"("choices":[])";
    if (sgl_extra) fmt::format_to(std::back_inserter(json), R"(,"sglext":{{"routed_experts":"{}"}})", routed);
    if (request_.include_usage) {
      json += ",\"usage\":";
      AppendUsage(progress, json);
    }
    if (dialect_ == Dialect::kLlamaServer) {
      json += ',';
      AppendTimings(facts_, progress, json);
    }
    json += '}';
    return true;
  }

  void ErrorEvent(std::string_view message, std::string& json) override {
    // SGLang wraps errors of a stream, though not those of a refused request.
    json += ErrorBody(dialect_ == Dialect::kSglang ? Dialect::kVllm : dialect_, 500, message);
  }

  std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                    std::string_view routed) override {
    std::string json = whole_head_ + R"("choices":[{"index":0,)";
    if (chat_) {
      const auto thought = static_cast<size_t>(std::min<int64_t>(facts_.reasoning_tokens, static_cast<int64_t>(ids.size())));
      json += R"("message":{"role":"assistant","content":")" +
              facts_.Text(ids.subspan(thought), static_cast<int64_t>(thought)) + '"';
      if (thought > 0 && ReasoningKey() != nullptr) {
        json += fmt::format(R"(,"{}":"{}")", ReasoningKey(), facts_.Text(ids.first(thought), 0));
      }
      json += '}';
    } else {
      json += R"("text":")" + facts_.Text(ids, 0) + '"';
    }
    AppendChoiceEnd(finish, ids, 0, json);
    if (!routed.empty() && dialect_ == Dialect::kVllm) {
      json.resize(json.size() - 2);  // "}]"
      json += fmt::format(R"(,"routed_experts":"{}"}}])", routed);
    }
    json += ",\"usage\":";
    AppendUsage(progress, json);
    if (!routed.empty() && dialect_ == Dialect::kSglang) json += fmt::format(R"(,"sglext":{{"routed_experts":"{}"}})", routed);
    if (dialect_ == Dialect::kLlamaServer) {
      json += ',';
      AppendTimings(facts_, progress, json);
    }
    return json + '}';
  }

 private:
  const char* ReasoningKey() const {
    switch (dialect_) {
      case Dialect::kVllm:
      case Dialect::kOllama:
        return "reasoning";
      case Dialect::kTgi:
        return nullptr;
      default:
        return "reasoning_content";
    }
  }

  // A run may hold the last tokens of the reasoning and the first of the answer.
  void AppendDelta(const TokenRun& run, std::string& json) const {
    const int64_t left = ReasoningKey() == nullptr ? 0 : facts_.reasoning_tokens - run.first_index;
    const auto thought = static_cast<size_t>(std::clamp<int64_t>(left, 0, static_cast<int64_t>(run.ids.size())));
    if (thought > 0) {
      json += '"';
      json += ReasoningKey();
      json += "\":\"";
      facts_.AppendText(run.ids.first(thought), run.first_index, json);
      json += thought < run.ids.size() ? "\"," : "\"";
    }
    if (thought > 0 && thought == run.ids.size()) return;
    json += "\"content\":\"";
    facts_.AppendText(run.ids.subspan(thought), run.first_index + static_cast<int64_t>(thought), json);
    json += '"';
  }

  // What follows text or delta in a choice, and the end of the list. `first_index` 0: the first tokens of the answer.
  void AppendChoiceEnd(std::string_view finish, std::span<const int32_t> ids, int64_t first_index, std::string& json) const {
    json += dialect_ == Dialect::kOllama ? ",\"finish_reason\":" : ",\"logprobs\":null,\"finish_reason\":";
    if (!finish.empty()) {
      json += '"';
      json += finish;
      json += '"';
    } else {
      // TGI's completion chunks have a text there, empty until the end.
      json += dialect_ == Dialect::kTgi && !chat_ ? "\"\"" : "null";
    }
    if (dialect_ == Dialect::kVllm || dialect_ == Dialect::kTrtllm) json += ",\"stop_reason\":null";
    if (dialect_ == Dialect::kSglang) json += finish == "stop" ? ",\"matched_stop\":2" : ",\"matched_stop\":null";
    const bool with_ids = dialect_ == Dialect::kTrtllm || (request_.return_token_ids && SendsIds());
    if (with_ids && !ids.empty()) {
      // SGLang's chats give them when they come whole only.
      json += chat_ && dialect_ == Dialect::kSglang ? ",\"response_token_ids\":" : ",\"token_ids\":";
      AppendTokenList(ids, json);
    }
    // In the first chunk only: of chat that is the role's.
    if (first_index == 0 && request_.return_token_ids && SendsIds() && (!chat_ || ids.empty() || !request_.stream)) {
      json += ",\"prompt_token_ids\":";
      AppendTokenList(facts_.prompt, json);
    }
    if (dialect_ == Dialect::kTrtllm) json += ",\"avg_decoded_tokens_per_iter\":1.0";
    json += "}]";
  }
  bool SendsIds() const { return dialect_ == Dialect::kVllm || dialect_ == Dialect::kSglang; }

  // The end of an event: usage if each event carries it, and the closing brace.
  void AppendUsageOf(const Progress& progress, std::string& json) const {
    if (request_.continuous_usage && dialect_ == Dialect::kLlamaServer) {
      json += ',';
      AppendTimings(facts_, progress, json);
    } else if (request_.continuous_usage && request_.include_usage && HasContinuousUsage()) {
      json += ",\"usage\":";
      AppendUsage(progress, json);
    } else if ((dialect_ == Dialect::kVllm || dialect_ == Dialect::kSglang) && !chat_) {
      json += ",\"usage\":null";
    }
    json += '}';
  }
  bool HasContinuousUsage() const { return SendsIds() || dialect_ == Dialect::kTrtllm; }

  void AppendUsage(const Progress& progress, std::string& json) const {
    json += "{\"prompt_tokens\":";
    AppendInteger(facts_.prompt_tokens, json);
    json += ",\"total_tokens\":";
    AppendInteger(facts_.prompt_tokens + progress.completion_tokens, json);
    json += ",\"completion_tokens\":";
    AppendInteger(progress.completion_tokens, json);
    if (dialect_ != Dialect::kTgi && dialect_ != Dialect::kOllama) {
      json += ",\"prompt_tokens_details\":{\"cached_tokens\":";
      AppendInteger(progress.cached_tokens, json);
      json += '}';
    }
    if (chat_ && facts_.reasoning_tokens > 0 && dialect_ == Dialect::kSglang) {
      json += ",\"reasoning_tokens\":";
      AppendInteger(std::min(facts_.reasoning_tokens, progress.completion_tokens), json);
    }
    json += '}';
  }

  Dialect dialect_;
  const ApiRequest& request_;
  const AnswerFacts& facts_;
  bool chat_;
  bool role_in_deltas_ = false;
  bool separate_finish_ = false;
  std::string head_, whole_head_, token_head_;
};

}  // namespace

std::unique_ptr<Format> MakeOpenAiFormat(Dialect dialect, const ApiRequest& request, const AnswerFacts& facts) {
  return std::make_unique<OpenAiFormat>(dialect, request, facts);
}

}  // namespace moecap::mock
