#include "system/openai/request_body.h"

#include <fmt/format.h>

#include <string_view>

#include "system/openai/utf8.h"

namespace moecap::openai {
namespace {

void AppendString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char c = text.front();
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

// An object being written, member by member.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) { out_ += '{'; }
  void Key(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  void String(std::string_view key, std::string_view value) {
    Key(key);
    AppendString(out_, value);
  }
  void Raw(std::string_view key, std::string_view value) {
    Key(key);
    out_ += value;
  }
  void Integer(std::string_view key, int64_t value) {
    Key(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void Ids(std::string_view key, const std::vector<int32_t>& ids) {
    Key(key);
    out_ += '[';
    for (const int32_t id : ids) fmt::format_to(std::back_inserter(out_), "{},", id);
    if (!ids.empty()) out_.pop_back();
    out_ += ']';
  }
  void Strings(std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    Key(key);
    out_ += '[';
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      AppendString(out_, values[i]);
    }
    out_ += ']';
  }
  void Members(std::string_view members) {
    if (members.empty()) return;
    if (out_.back() != '{') out_ += ',';
    out_ += members;
  }
  void Begin(std::string_view key) {
    Key(key);
    out_ += '{';
  }
  void End() { out_ += '}'; }

 private:
  std::string& out_;
};

void WriteMessages(Writer& body, const load::RequestSpec& request, std::string& out) {
  body.Key("messages");
  out += '[';
  const auto write = [&](std::string_view role, std::string_view content) {
    if (out.back() != '[') out += ',';
    Writer message(out);
    message.String("role", role);
    message.String("content", content);
    message.End();
  };
  if (request.messages.empty()) write("user", request.prompt);
  for (const load::Message& message : request.messages) write(message.role, message.content);
  out += ']';
}

void WritePrompt(Writer& body, const load::RequestSpec& request, std::string_view text_key, std::string_view ids_key) {
  if (request.prompt_token_ids.empty()) {
    body.String(text_key, request.prompt);
  } else {
    body.Ids(ids_key, request.prompt_token_ids);
  }
}

// What /v1/completions and /v1/chat/completions take beyond OpenAI's own fields, server by server.
void WriteOpenAiExtensions(Writer& body, ServerKind server, const load::RequestSpec& request, bool stream) {
  const bool vllm_like = server == ServerKind::kVllm || server == ServerKind::kSglang;
  const bool counts_always = vllm_like || server == ServerKind::kTensorRtLlm;
  if (stream) {
    body.Raw("stream_options",
             counts_always ? R"({"include_usage":true,"continuous_usage_stats":true})" : R"({"include_usage":true})");
  }
  if (vllm_like) body.Raw("return_token_ids", "true");
  if (request.ignore_end_token) {
    body.Raw("ignore_eos", "true");
    if (counts_always) body.Integer("min_tokens", request.max_output_tokens);
  }
  if (server == ServerKind::kLlamaServer) body.Raw("timings_per_token", "true");
  if (request.cache_salt.empty()) return;
  if (server == ServerKind::kLlamaServer) {
    body.Raw("cache_prompt", "false");
  } else if (counts_always) {
    body.String("cache_salt", request.cache_salt);
  }
}

void WriteOpenAi(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  body.String("model", profile.model);
  if (profile.api == Api::kChat) {
    WriteMessages(body, request, out);
  } else {
    WritePrompt(body, request, "prompt", "prompt");
  }
  body.Integer("max_tokens", request.max_output_tokens);
  // TGI takes greedy decoding only as the absence of a temperature.
  if (profile.server != ServerKind::kTgi) body.Raw("temperature", "0");
  body.Raw("stream", stream ? "true" : "false");
  body.Strings("stop", request.stop);
  WriteOpenAiExtensions(body, profile.server, request, stream);
}

void WriteSglang(Writer& body, const load::RequestSpec& request, bool stream) {
  WritePrompt(body, request, "text", "input_ids");
  body.Begin("sampling_params");
  body.Integer("max_new_tokens", request.max_output_tokens);
  body.Raw("temperature", "0");
  body.Strings("stop", request.stop);
  if (request.ignore_end_token) {
    body.Raw("ignore_eos", "true");
    body.Integer("min_new_tokens", request.max_output_tokens);
  }
  body.End();
  body.Raw("stream", stream ? "true" : "false");
  if (!request.cache_salt.empty()) body.String("extra_key", request.cache_salt);
}

void WriteTgi(Writer& body, const load::RequestSpec& request) {
  body.String("inputs", request.prompt);
  body.Begin("parameters");
  body.Integer("max_new_tokens", request.max_output_tokens);
  body.Raw("do_sample", "false");
  body.Raw("details", "true");
  body.Raw("decoder_input_details", "false");
  body.Strings("stop", request.stop);
  body.End();
}

void WriteOllama(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  body.String("model", profile.model);
  if (profile.api == Api::kOllamaChat) {
    WriteMessages(body, request, out);
  } else {
    body.String("prompt", request.prompt);
    body.Raw("raw", "true");  // no chat template around the prompt
  }
  body.Raw("stream", stream ? "true" : "false");
  body.Begin("options");
  body.Integer("num_predict", request.max_output_tokens);
  body.Raw("temperature", "0");
  body.Strings("stop", request.stop);
  body.End();
}

void WriteLlamaServer(Writer& body, const load::RequestSpec& request, bool stream) {
  WritePrompt(body, request, "prompt", "prompt");
  body.Integer("n_predict", request.max_output_tokens);
  body.Raw("temperature", "0");
  body.Raw("stream", stream ? "true" : "false");
  body.Raw("return_tokens", "true");
  body.Strings("stop", request.stop);
  if (request.ignore_end_token) body.Raw("ignore_eos", "true");
  if (!request.cache_salt.empty()) body.Raw("cache_prompt", "false");
}

}  // namespace

void WriteRequestBody(const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  out.clear();
  Writer body(out);
  switch (profile.api) {
    case Api::kCompletions:
    case Api::kChat:
      WriteOpenAi(body, profile, request, stream, out);
      break;
    case Api::kSglangGenerate:
      WriteSglang(body, request, stream);
      break;
    case Api::kTgiGenerate:
      WriteTgi(body, request);
      break;
    case Api::kOllamaGenerate:
    case Api::kOllamaChat:
      WriteOllama(body, profile, request, stream, out);
      break;
    case Api::kLlamaServer:
      WriteLlamaServer(body, request, stream);
      break;
  }
  body.Members(profile.extra_fields);
  body.End();
}

}  // namespace moecap::openai
