#include "system/openai/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "load/closed_loop.h"
#include "system/openai/control.h"

namespace moecap::openai {
namespace {

using record::RequestRecord;
using record::TokensSource;

constexpr int64_t kFewTokens = 4, kMoreTokens = 64;
constexpr const char* kPrompt = "Question: What is 1 + 1?\nAnswer:";

// Answers to one request each, asked of one server.
class Asker {
 public:
  Asker(const ProbeInput& input, const Clock& clock) : options_(input.options), limit_ns_(input.limit_ns), clock_(clock) {
    options_.keep_text = true;
    options_.profile.fields = RequestFields();
    options_.http.urls.resize(1);
  }

  Result<RequestRecord> Ask(const RequestFields& fields, load::RequestSpec spec) {
    spec.id = fmt::format("probe-{}", asked_++);
    spec.deadlines.total_ns = limit_ns_;
    spec.stream = options_.stream && spec.stream;
    OpenAiOptions options = options_;
    options.profile.fields = fields;
    ASSIGN_OR_RETURN(const auto system, OpenAiSystem::Create(std::move(options), clock_));
    ASSIGN_OR_RETURN(const load::LoadResult result, load::RunClosedLoop(*system, std::span(&spec, 1), {}, clock_));
    return result.requests.at(0);
  }

  void set_api(Api api) { options_.profile.api = api; }
  Api api() const { return options_.profile.api; }

 private:
  OpenAiOptions options_;
  int64_t limit_ns_;
  const Clock& clock_;
  int asked_ = 0;
};

load::RequestSpec Spec(int64_t tokens) {
  load::RequestSpec spec;
  spec.prompt = kPrompt;
  spec.max_output_tokens = tokens;
  return spec;
}

bool TellsUsage(const RequestRecord& answer) { return answer.ok() && answer.tokens_source != TokensSource::kChunks; }

// The plain request; a server without a route for completions gets a chat, one that refuses our x-request-id another.
Result<RequestRecord> AskPlainly(Asker& asker, RequestFields& fields) {
  ASSIGN_OR_RETURN(RequestRecord answer, asker.Ask(fields, Spec(kFewTokens)));
  if (asker.api() == Api::kCompletions && (answer.http_status == 404 || answer.http_status == 405)) {
    asker.set_api(Api::kChat);
    ASSIGN_OR_RETURN(RequestRecord chat, asker.Ask(fields, Spec(kFewTokens)));
    if (chat.ok()) return chat;
    asker.set_api(Api::kCompletions);
  }
  if (answer.http_status == 400 && !fields.uuid_request_id) {
    fields.uuid_request_id = true;
    ASSIGN_OR_RETURN(RequestRecord named, asker.Ask(fields, Spec(kFewTokens)));
    if (named.ok()) return named;
    fields.uuid_request_id = false;
  }
  if (answer.ok()) return answer;
  return Failed(fmt::format("the server does not answer a plain request of {} tokens: {}", kFewTokens, answer.error));
}

// One field, and how an answer shows that it had an effect; null: it cannot show it.
struct FieldRow {
  Feature feature;
  bool RequestFields::*field;
  bool (*works)(const RequestRecord& answer);
};
constexpr std::array kFields{
    FieldRow{Feature::kUsage, &RequestFields::usage, TellsUsage},
    FieldRow{Feature::kRunningUsage, &RequestFields::running_usage,
             [](const RequestRecord& answer) { return answer.tokens_source == TokensSource::kContinuousUsage; }},
    FieldRow{Feature::kIdsOut, &RequestFields::return_token_ids,
             [](const RequestRecord& answer) { return answer.tokens_source == TokensSource::kTokenIds; }},
    FieldRow{Feature::kCacheSalt, &RequestFields::cache_salt, nullptr},
};

class Learner {
 public:
  Learner(const ProbeInput& input, const Clock& clock) : input_(input), asker_(input, clock) {}

  Result<ProbeResult> Learn() {
    const RequestProfile& profile = input_.options.profile;
    result_.fields.uuid_request_id = FieldsOf(profile.api, profile.server).uuid_request_id;
    ASSIGN_OR_RETURN(const RequestRecord plain, AskPlainly(asker_, result_.fields));
    result_.api = asker_.api();
    for (const FieldRow& row : kFields) RETURN_IF_ERROR(TryField(row, plain));
    RETURN_IF_ERROR(TryIgnoreEnd());
    RETURN_IF_ERROR(TryIds());
    return std::move(result_);
  }

 private:
  void Add(Feature feature, Support support, std::string detail = "") {
    result_.capabilities.push_back({feature, support, std::move(detail)});
  }

  Status TryField(const FieldRow& row, const RequestRecord& plain) {
    // What it does unasked needs no field.
    if (row.works != nullptr && row.works(plain)) {
      Add(row.feature, Support::kYes, "unasked");
      return {};
    }
    if (row.field == &RequestFields::running_usage && !result_.fields.usage) {
      Add(row.feature, Support::kNo);
      return {};
    }
    RequestFields fields = result_.fields;
    fields.*row.field = true;
    load::RequestSpec spec = Spec(kFewTokens);
    if (row.feature == Feature::kCacheSalt) spec.cache_salt = "probe";
    ASSIGN_OR_RETURN(const RequestRecord answer, asker_.Ask(fields, spec));
    if (!answer.ok()) {
      Add(row.feature, Support::kNo, answer.error);
    } else if (row.works == nullptr) {
      result_.fields = fields;
      Add(row.feature, Support::kTaken);
    } else if (row.works(answer)) {
      result_.fields = fields;
      Add(row.feature, Support::kYes);
    } else {
      Add(row.feature, Support::kIgnored);
    }
    return {};
  }

  // Whether it goes on past the end token can only be seen where it would have ended.
  Status TryIgnoreEnd() {
    RequestFields fields = result_.fields;
    fields.ignore_end = true;
    load::RequestSpec spec = Spec(kFewTokens);
    spec.ignore_end_token = true;
    ASSIGN_OR_RETURN(const RequestRecord taken, asker_.Ask(fields, spec));
    if (!taken.ok()) {
      Add(Feature::kIgnoreEnd, Support::kNo, taken.error);
      return {};
    }
    ASSIGN_OR_RETURN(const RequestRecord free, asker_.Ask(result_.fields, Spec(kMoreTokens)));
    const bool ended = free.ok() && free.finish == record::FinishReason::kStop;
    if (!ended) {
      result_.fields = fields;
      Add(Feature::kIgnoreEnd, Support::kTaken);
      return {};
    }
    spec.max_output_tokens = kMoreTokens;
    ASSIGN_OR_RETURN(const RequestRecord forced, asker_.Ask(fields, spec));
    const bool works = forced.ok() && forced.finish == record::FinishReason::kLength;
    if (works) result_.fields = fields;
    Add(Feature::kIgnoreEnd, works ? Support::kYes : Support::kIgnored);
    return {};
  }

  Status TryIds() {
    if (asker_.api() == Api::kChat) {
      Add(Feature::kIdsIn, Support::kNo, "a chat takes none");
      return {};
    }
    if (input_.known_ids.empty()) {
      Add(Feature::kIdsIn, Support::kNotAsked, "no id is known to be in its vocabulary");
      return {};
    }
    RequestFields fields = result_.fields;
    fields.token_ids = true;
    load::RequestSpec spec = Spec(kFewTokens);
    spec.prompt_token_ids = input_.known_ids;
    ASSIGN_OR_RETURN(const RequestRecord answer, asker_.Ask(fields, spec));
    const auto sent = std::ssize(spec.prompt_token_ids);
    // A server that takes the list for something else counts something else.
    const bool counts = answer.input_tokens == sent || answer.input_tokens == sent + 1;
    if (answer.ok() && counts) {
      result_.fields = fields;
      Add(Feature::kIdsIn, Support::kYes);
    } else {
      Add(Feature::kIdsIn, Support::kNo,
          answer.ok() ? fmt::format("{} ids became {} tokens", sent, answer.input_tokens) : answer.error);
    }
    return {};
  }

  const ProbeInput& input_;
  Asker asker_;
  ProbeResult result_;
};

// "maximum context length is 512 tokens", "exceed context window of 512", "the model's context length (512 tokens)": the first
// number behind the word.
std::optional<int64_t> ContextIn(std::string_view message) {
  const size_t word = message.find("context");
  const size_t digit = message.find_first_of("0123456789", std::min(word, message.size()));
  int64_t tokens = 0;
  if (digit == std::string_view::npos) return std::nullopt;
  const auto parsed = std::from_chars(message.data() + digit, message.data() + message.size(), tokens);
  return parsed.ec == std::errc() && tokens > 0 ? std::optional(tokens) : std::nullopt;
}

// One token after so many words.
Result<RequestRecord> AskLong(Asker& asker, const RequestFields& fields, int64_t words) {
  load::RequestSpec spec = Spec(1);
  spec.prompt.clear();
  for (int64_t i = 0; i < words; ++i) spec.prompt += "thirteen ";
  // llama-cpp-python refuses a whole answer with a sentence, and ends a stream without a word.
  spec.stream = false;
  return asker.Ask(fields, spec);
}

// The tokens of the longest prompt that is taken, by halving what lies between one that is and `refused` words.
Result<std::optional<int64_t>> FindContext(Asker& asker, const RequestFields& fields, int64_t refused) {
  std::optional<int64_t> tokens;
  const int64_t step = std::max<int64_t>(1, refused / 16);
  for (int64_t taken = 0; refused - taken > step;) {
    const int64_t words = (taken + refused) / 2;
    ASSIGN_OR_RETURN(const RequestRecord answer, AskLong(asker, fields, words));
    if (answer.ok()) {
      taken = words;
      tokens = std::max(words, answer.input_tokens) + 1;
    } else {
      refused = words;
    }
  }
  return tokens;
}

Support Known(bool yes) { return yes ? Support::kYes : Support::kNo; }
Support Known(const std::optional<bool>& yes) { return yes ? Known(*yes) : Support::kNotAsked; }

// What a known kind of server does is not asked for field by field: one answer with all of them shows it.
Result<ProbeResult> AskKnown(const ProbeInput& input, Asker& asker) {
  const RequestProfile& profile = input.options.profile;
  ProbeResult result;
  result.api = profile.api;
  result.fields = FieldsOf(profile.api, profile.server);
  ASSIGN_OR_RETURN(const RequestRecord answer, asker.Ask(result.fields, Spec(kFewTokens)));
  if (!answer.ok())
    return Failed(fmt::format("the server does not answer a request of {} tokens: {}", kFewTokens, answer.error));
  const auto add = [&](Feature feature, Support support, std::string detail = "") {
    result.capabilities.push_back({feature, support, std::move(detail)});
  };
  if (!result.fields.token_ids) {
    add(Feature::kIdsIn, Support::kNo);
  } else if (input.known_ids.empty()) {
    add(Feature::kIdsIn, Support::kTaken, "by its kind; no id is known to be in its vocabulary");
  } else {
    load::RequestSpec spec = Spec(kFewTokens);
    spec.prompt_token_ids = input.known_ids;
    ASSIGN_OR_RETURN(const RequestRecord ids, asker.Ask(result.fields, spec));
    add(Feature::kIdsIn, Known(ids.ok()), ids.error);
  }
  add(Feature::kIdsOut, Known(answer.tokens_source == TokensSource::kTokenIds));
  add(Feature::kUsage, Known(TellsUsage(answer)));
  add(Feature::kRunningUsage, answer.tokens_source == TokensSource::kContinuousUsage ? Support::kYes
                              : result.fields.running_usage                          ? Support::kTaken
                                                                                     : Support::kNo);
  add(Feature::kIgnoreEnd, Known(result.fields.ignore_end));
  add(Feature::kCacheSalt, result.fields.cache_salt || result.fields.no_cache_prompt ? Support::kTaken : Support::kNo);
  return result;
}

// The same prompt twice: a server may keep quiet about a count of nothing.
Result<Support> TellsCached(Asker& asker, const RequestFields& fields) {
  load::RequestSpec spec = Spec(1);
  for (int i = 1; i <= 40; ++i) spec.prompt += fmt::format(" {} + {} =", i, i);
  RequestRecord answer;
  for (int i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(answer, asker.Ask(fields, spec));
    if (!answer.ok()) return Support::kNotAsked;  // too long for it, say
    if (answer.cached_input_tokens) return Support::kYes;
  }
  return Support::kNo;
}

// Experts come with whole answers only.
Result<Capability> AskForExperts(const ProbeInput& input, const Clock& clock) {
  Capability capability{Feature::kExperts, Known(input.facts.returns_experts), ""};
  const RequestProfile& profile = input.options.profile;
  if (profile.server != ServerKind::kVllm || profile.api != Api::kCompletions) return capability;
  net::HttpClientOptions http = input.options.http;
  http.urls.resize(1);
  if (!input.options.api_key.empty())
    http.headers.push_back(KeyHeader(profile.api, input.options.api_key_header, input.options.api_key));
  ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(std::move(http), clock));
  std::string body;
  WriteRequestBody(profile, Spec(2), /*stream=*/false, body);
  ASSIGN_OR_RETURN(const auto answer, client->Fetch({.path = RequestPath(profile, false), .body = body}, input.limit_ns));
  const size_t at = answer.body.find("\"routed_experts\":");
  const bool has = at != std::string::npos && answer.body.substr(at + 17, 5).find("null") == std::string::npos;
  capability.support = Known(has);
  return capability;
}

Status AskPages(const ProbeInput& input, const Clock& clock, std::vector<Capability>& capabilities) {
  const ServerFacts& facts = input.facts;
  const ServerKind kind = input.options.profile.server;
  Support tokenizes = Support::kNo;
  if (CanTokenize(kind)) {
    ASSIGN_OR_RETURN(const auto control, ServerControl::Create(input.options, input.limit_ns, clock));
    tokenizes = Known(control->Tokenize("one two three").ok());
  }
  capabilities.push_back({Feature::kTokenize, tokenizes, ""});
  // Emptying a cache to see whether it can be done would be a deed.
  capabilities.push_back({Feature::kFlush, CanFlushPrefixCache(kind) ? Support::kTaken : Support::kNo,
                          CanFlushPrefixCache(kind) ? "by its kind; not tried" : ""});
  ASSIGN_OR_RETURN(Capability experts, AskForExperts(input, clock));
  for (Capability& capability : CapabilitiesOnPages(kind, facts)) {
    if (capability.feature == Feature::kCachedTokens) continue;
    capabilities.push_back(capability.feature == Feature::kExperts ? std::move(experts) : std::move(capability));
  }
  return {};
}

}  // namespace

std::vector<Capability> CapabilitiesOnPages(ServerKind kind, const ServerFacts& facts) {
  const bool records = facts.recorder_mode && !facts.recorder_mode->empty();
  const bool logs = kind == ServerKind::kVllm;  // in its log only
  return {
      {Feature::kCachedTokens, Known(facts.tells_cached_tokens), ""},
      {Feature::kMetrics, Known(facts.has_metrics), ""},
      {Feature::kExperts, MayTellExperts(kind) ? Known(facts.returns_experts) : Support::kNo, ""},
      {Feature::kRecorder, facts.recorder_mode ? Known(records) : Support::kNo, records ? "mode " + *facts.recorder_mode : ""},
      {Feature::kPasses, logs ? Support::kNotAsked : Known(facts.has_pass_metrics.value_or(false)),
       logs ? "its log would show it" : ""}};
}

Result<ProbeResult> LearnFields(const ProbeInput& input, const Clock& clock) { return Learner(input, clock).Learn(); }

Result<std::optional<int64_t>> AskForContext(const OpenAiOptions& options, int64_t words, int64_t limit_ns,
                                             const Clock& clock) {
  const ServerFacts facts;
  const ProbeInput input{options, facts, {}, limit_ns};
  Asker asker(input, clock);
  ASSIGN_OR_RETURN(const RequestRecord answer, AskLong(asker, options.profile.Fields(), words));
  if (answer.ok()) return std::optional<int64_t>();
  if (answer.http_status == 0) return Failed(answer.error);
  if (const auto told = ContextIn(answer.error)) return told;
  return FindContext(asker, options.profile.Fields(), words);
}

Result<ProbeResult> ProbeCapabilities(const ProbeInput& input, const Clock& clock) {
  const RequestProfile& profile = input.options.profile;
  const bool openai = profile.api == Api::kCompletions || profile.api == Api::kChat;
  Asker asker(input, clock);
  ASSIGN_OR_RETURN(ProbeResult result,
                   openai && AsksForFields(profile.server) ? LearnFields(input, clock) : AskKnown(input, asker));
  asker.set_api(result.api);
  ASSIGN_OR_RETURN(const Support cached, TellsCached(asker, result.fields));
  result.capabilities.push_back({Feature::kCachedTokens, cached, ""});
  RETURN_IF_ERROR(AskPages(input, clock, result.capabilities));
  std::ranges::stable_sort(result.capabilities, {}, &Capability::feature);
  return result;
}

}  // namespace moecap::openai
