#include "mock/format.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

namespace moecap::mock {

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void AppendInteger(int64_t value, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void AppendTokenList(std::span<const int32_t> ids, std::string& out) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    AppendInteger(ids[i], out);
  }
  out += ']';
}

void AppendTimings(const AnswerFacts& facts, const Progress& progress, std::string& out) {
  const auto prompt_n = static_cast<double>(facts.prompt_tokens - progress.cached_tokens);
  // The first token is the prompt's.
  const auto decode_steps = static_cast<double>(progress.completion_tokens - 1);
  const double prompt_ms = progress.prefill_s * 1e3;
  const double predicted_ms = progress.decode_s * 1e3;
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0; };
  fmt::format_to(std::back_inserter(out),
                 R"("timings":{{"cache_n":{},"prompt_n":{},"prompt_ms":{:.3f},"prompt_per_token_ms":{:.6f},)"
                 R"("prompt_per_second":{:.6f},"predicted_n":{},"predicted_ms":{:.3f},"predicted_per_token_ms":{:.6f},)"
                 R"("predicted_per_second":{:.6f}}})",
                 progress.cached_tokens, facts.prompt_tokens - progress.cached_tokens, prompt_ms, ratio(prompt_ms, prompt_n),
                 ratio(prompt_n * 1e3, prompt_ms), progress.completion_tokens, predicted_ms, ratio(predicted_ms, decode_steps),
                 ratio(decode_steps * 1e3, predicted_ms));
}

bool SeparatesReasoning(Dialect dialect) { return dialect != Dialect::kTgi; }

std::unique_ptr<Format> MakeFormat(Dialect dialect, const ApiRequest& request, const AnswerFacts& facts) {
  if (request.route == Route::kCompletions || request.route == Route::kChat) return MakeOpenAiFormat(dialect, request, facts);
  return MakeNativeFormat(request, facts);
}

namespace {

// The names that OpenAI's clients know an error by.
std::string_view ErrorType(int status) {
  switch (status) {
    case 400:
    case 422:
      return "BadRequestError";
    case 401:
      return "AuthenticationError";
    case 404:
      return "NotFoundError";
    case 429:
      return "RateLimitError";
    default:
      return status >= 500 ? "InternalServerError" : "BadRequestError";
  }
}

std::string_view LlamaErrorType(int status) {
  switch (status) {
    case 400:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 503:
      return "unavailable_error";
    default:
      return "server_error";
  }
}

}  // namespace

std::string ErrorBody(Dialect dialect, int status, std::string_view message) {
  std::string text;
  AppendJsonString(message, text);
  switch (dialect) {
    case Dialect::kVllm:
      return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":null,"code":{}}}}})", text, ErrorType(status), status);
    case Dialect::kSglang:
    case Dialect::kTrtllm:
      return fmt::format(R"({{"object":"error","message":{},"type":"{}","param":null,"code":{}}})", text, ErrorType(status),
                         status);
    case Dialect::kLlamaServer:
      return fmt::format(R"({{"error":{{"code":{},"message":{},"type":"{}"}}}})", status, text, LlamaErrorType(status));
    case Dialect::kTgi:
      return fmt::format(R"({{"error":{},"error_type":"{}"}})", text,
                         status == 429   ? "overloaded"
                         : status == 422 ? "validation"
                                         : "generation");
    case Dialect::kOllama:
      return fmt::format(R"({{"error":{}}})", text);
  }
  return {};
}

}  // namespace moecap::mock
