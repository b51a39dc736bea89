#include "system/openai/request_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json.h"
#include "system/openai/likelihoods.h"
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
  void Number(std::string_view key, double value) {
    Key(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
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
  void Begin(std::string_view key) {
    Key(key);
    out_ += '{';
  }
  void End() { out_ += '}'; }

 private:
  std::string& out_;
};

void WriteTemperature(Writer& body, const RequestProfile& profile) {
  if (profile.temperature) body.Number("temperature", *profile.temperature);
}

void WriteLimit(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, std::string_view field) {
  body.Integer(profile.max_tokens_field.empty() ? field : profile.max_tokens_field, request.max_output_tokens);
}

void WriteMessages(Writer& body, std::string_view key, const load::RequestSpec& request, std::string& out) {
  body.Key(key);
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

void WriteOpenAiExtensions(Writer& body, const RequestFields& fields, const load::RequestSpec& request, bool stream) {
  if (stream && fields.usage) {
    body.Raw("stream_options",
             fields.running_usage ? R"({"include_usage":true,"continuous_usage_stats":true})" : R"({"include_usage":true})");
  }
  if (fields.return_token_ids && (!stream || fields.ids_in_streams)) body.Raw("return_token_ids", "true");
  if (request.ignore_end_token) {
    body.Raw("ignore_eos", "true");
    if (fields.min_tokens) body.Integer("min_tokens", request.max_output_tokens);
  }
  if (fields.token_timings) body.Raw("timings_per_token", "true");
  if (request.cache_salt.empty()) return;
  if (fields.no_cache_prompt) body.Raw("cache_prompt", "false");
  if (fields.cache_salt) body.String("cache_salt", request.cache_salt);
}

// One token must be generated, as no server takes none; the echo holds what is asked for.
void WriteLikelihoods(Writer& body, const RequestProfile& profile, const load::RequestSpec& request) {
  body.String("model", profile.model);
  body.Strings("prompt", PromptsOf(request));
  body.Integer("max_tokens", 1);
  body.Number("temperature", 0);
  body.Raw("echo", "true");
  body.Integer("logprobs", 1);
  body.Raw("stream", "false");
}

void WriteOpenAi(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  if (!request.continuations.empty()) return WriteLikelihoods(body, profile, request);
  body.String("model", profile.model);
  if (profile.api == Api::kChat) {
    WriteMessages(body, "messages", request, out);
  } else {
    WritePrompt(body, request, "prompt", "prompt");
  }
  WriteLimit(body, profile, request, "max_tokens");
  // TGI takes greedy decoding only as the absence of a temperature.
  if (profile.server != ServerKind::kTgi || profile.temperature != 0) WriteTemperature(body, profile);
  body.Raw("stream", stream ? "true" : "false");
  body.Strings("stop", request.stop);
  WriteOpenAiExtensions(body, profile.Fields(), request, stream);
}

// platform.openai.com/docs/api-reference/responses/create: no stop strings.
void WriteResponses(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream,
                    std::string& out) {
  body.String("model", profile.model);
  if (request.messages.empty()) {
    body.String("input", request.prompt);
  } else {
    WriteMessages(body, "input", request, out);
  }
  WriteLimit(body, profile, request, "max_output_tokens");
  WriteTemperature(body, profile);
  body.Raw("stream", stream ? "true" : "false");
}

// docs.anthropic.com/en/api/messages: what the system says is no message.
void WriteAnthropic(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream,
                    std::string& out) {
  body.String("model", profile.model);
  load::RequestSpec said;
  std::string system;
  for (const load::Message& message : request.messages) {
    if (message.role == "system") {
      system += (system.empty() ? "" : "\n\n") + message.content;
    } else {
      said.messages.push_back(message);
    }
  }
  if (request.messages.empty()) said.prompt = request.prompt;
  if (!system.empty()) body.String("system", system);
  WriteMessages(body, "messages", said, out);
  WriteLimit(body, profile, request, "max_tokens");
  WriteTemperature(body, profile);
  body.Raw("stream", stream ? "true" : "false");
  body.Strings("stop_sequences", request.stop);
}

void WriteSglang(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream) {
  WritePrompt(body, request, "text", "input_ids");
  body.Begin("sampling_params");
  body.Integer("max_new_tokens", request.max_output_tokens);
  WriteTemperature(body, profile);
  body.Strings("stop", request.stop);
  if (request.ignore_end_token) {
    body.Raw("ignore_eos", "true");
    body.Integer("min_new_tokens", request.max_output_tokens);
  }
  body.End();
  body.Raw("stream", stream ? "true" : "false");
  if (!request.cache_salt.empty()) body.String("extra_key", request.cache_salt);
}

void WriteTgi(Writer& body, const RequestProfile& profile, const load::RequestSpec& request) {
  body.String("inputs", request.prompt);
  body.Begin("parameters");
  body.Integer("max_new_tokens", request.max_output_tokens);
  // Greedy decoding has no temperature there.
  if (profile.temperature) body.Raw("do_sample", *profile.temperature > 0 ? "true" : "false");
  if (profile.temperature.value_or(0) > 0) WriteTemperature(body, profile);
  body.Raw("details", "true");
  body.Raw("decoder_input_details", "false");
  body.Strings("stop", request.stop);
  body.End();
}

void WriteOllama(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  body.String("model", profile.model);
  if (profile.api == Api::kOllamaChat) {
    WriteMessages(body, "messages", request, out);
  } else {
    body.String("prompt", request.prompt);
    body.Raw("raw", "true");  // no chat template around the prompt
  }
  body.Raw("stream", stream ? "true" : "false");
  body.Begin("options");
  body.Integer("num_predict", request.max_output_tokens);
  WriteTemperature(body, profile);
  body.Strings("stop", request.stop);
  body.End();
}

void WriteLlamaServer(Writer& body, const RequestProfile& profile, const load::RequestSpec& request, bool stream) {
  WritePrompt(body, request, "prompt", "prompt");
  body.Integer("n_predict", request.max_output_tokens);
  WriteTemperature(body, profile);
  body.Raw("stream", stream ? "true" : "false");
  body.Raw("return_tokens", "true");
  body.Strings("stop", request.stop);
  if (request.ignore_end_token) body.Raw("ignore_eos", "true");
  if (!request.cache_salt.empty()) body.Raw("cache_prompt", "false");
}

// A member of a written object: `out[begin, end)` is its value.
struct Member {
  std::string_view key, value;
};

// The members at the top level of `object`, which a Writer wrote.
std::vector<Member> MembersOf(std::string_view object) {
  std::vector<Member> members;
  int depth = 0;
  bool in_string = false;
  size_t key_begin = 0, key_end = 0, value_begin = 0;
  for (size_t i = 0; i < object.size(); ++i) {
    const char c = object[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    const bool ends = (depth == 1 && c == ',') || (depth == 1 && c == '}');
    if (ends && value_begin > 0) {
      members.push_back({object.substr(key_begin, key_end - key_begin), object.substr(value_begin, i - value_begin)});
      value_begin = 0;
    }
    if (c == '"') {
      in_string = true;
      if (depth == 1 && value_begin == 0) key_begin = i + 1;
    }
    if (c == ':' && depth == 1) {
      key_end = i - 1;
      value_begin = i + 1;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
  }
  return members;
}

// The member's value under the patch; objects are merged.
std::string Patched(std::string_view value, const std::string& patch) {
  if (!value.starts_with('{') || !patch.starts_with('{')) return patch;
  auto merged = ParseJson(value);
  const auto change = ParseJson(patch);
  if (!merged.ok() || !change.ok()) return patch;
  merged->merge_patch(*change);
  return DumpJson(*merged);
}

void ApplyPatch(const std::vector<BodyField>& patch, std::string& out) {
  if (patch.empty()) return;
  std::string patched = "{";
  const auto add = [&](std::string_view key, std::string_view value) {
    fmt::format_to(std::back_inserter(patched), "{}\"{}\":{}", patched.back() == '{' ? "" : ",", key, value);
  };
  const std::vector<Member> members = MembersOf(out);
  for (const Member& member : members) {
    const auto field = std::ranges::find(patch, member.key, &BodyField::key);
    if (field == patch.end()) {
      add(member.key, member.value);
    } else if (field->json != "null") {
      add(member.key, Patched(member.value, field->json));
    }
  }
  for (const BodyField& field : patch) {
    const bool replaced = std::ranges::find(members, field.key, &Member::key) != members.end();
    if (replaced || field.json == "null") continue;
    const std::string quoted = DumpJson(field.key);
    add(std::string_view(quoted).substr(1, quoted.size() - 2),
        field.json.starts_with('{') ? Patched("{}", field.json) : field.json);
  }
  out = patched + "}";
}

}  // namespace

std::string RequestPath(const RequestProfile& profile, bool stream) {
  constexpr std::string_view kVersion = "/v1";
  std::string path = profile.path;
  if (path.empty()) {
    path = Path(profile.api, stream);
    if (path.starts_with(kVersion)) path.replace(0, kVersion.size(), profile.version);
  }
  return profile.query.empty() ? path : path + "?" + profile.query;
}

Status CheckProfile(const RequestProfile& profile) {
  const bool limit_has_a_name = profile.api == Api::kCompletions || profile.api == Api::kChat ||
                                profile.api == Api::kResponses || profile.api == Api::kMessages;
  if (!profile.max_tokens_field.empty() && !limit_has_a_name) {
    return BadInput(
        fmt::format("\"max_tokens_field\" has no meaning for api {}; it is for completions, chat, responses and "
                    "messages",
                    Name(profile.api)));
  }
  if (NeedsModelName(profile.api) && profile.model.empty()) {
    return BadInput(
        fmt::format("api {} needs the model's name as the server knows it (GET /v1/models lists them)", Name(profile.api)));
  }
  return {};
}

void WriteRequestBody(const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out) {
  out.clear();
  Writer body(out);
  switch (profile.api) {
    case Api::kCompletions:
    case Api::kChat:
      WriteOpenAi(body, profile, request, stream, out);
      break;
    case Api::kResponses:
      WriteResponses(body, profile, request, stream, out);
      break;
    case Api::kMessages:
      WriteAnthropic(body, profile, request, stream, out);
      break;
    case Api::kSglangGenerate:
      WriteSglang(body, profile, request, stream);
      break;
    case Api::kTgiGenerate:
      WriteTgi(body, profile, request);
      break;
    case Api::kOllamaGenerate:
    case Api::kOllamaChat:
      WriteOllama(body, profile, request, stream, out);
      break;
    case Api::kLlamaServer:
      WriteLlamaServer(body, profile, request, stream);
      break;
  }
  body.End();
  ApplyPatch(profile.body, out);
}

}  // namespace moecap::openai
