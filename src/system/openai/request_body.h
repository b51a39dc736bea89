// The JSON body of a request, with the fields that the server at hand knows and no others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/system_under_test.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

// A member of the body at its top level.
struct BodyField {
  std::string key;
  std::string json;  // its value; "null" removes what would be sent
};

// What requests look like, beside what each asks for.
struct RequestProfile {
  Api api = Api::kCompletions;
  ServerKind server = ServerKind::kUnknown;
  std::string model;                      // "" = the server's only one, where its interface allows that
  std::string max_tokens_field;           // name of the member that limits the answer; "" = the interface's own
  std::optional<double> temperature = 0;  // null = none is sent
  // Laid over the body as a JSON merge patch (RFC 7396): a new member, another value, a member less.
  std::vector<BodyField> body;
  std::string version = "/v1";  // what stands for /v1 in OpenAI's and Anthropic's paths; may be ""
  std::string path;             // instead of the interface's own; "" = that
  std::string query;            // "api-version=2024-10-21", without '?'
  // What this very server was found to take (probe.h); null = what its kind is known to.
  std::optional<RequestFields> fields;

  RequestFields Fields() const { return fields ? *fields : FieldsOf(api, server); }
};

// The target of a request behind the URL's own path.
std::string RequestPath(const RequestProfile& profile, bool stream);

// Error: kBadInput for what the interface has no place for, naming the key of the configuration.
Status CheckProfile(const RequestProfile& profile);

// Replaces `out`. `stream` goes before the request's own wish. Invalid UTF-8 in a prompt becomes U+FFFD.
void WriteRequestBody(const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out);

}  // namespace moecap::openai
