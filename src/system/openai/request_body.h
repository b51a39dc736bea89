// The JSON body of a request, with the fields that the server at hand knows and no others.
#pragma once

#include <string>

#include "load/system_under_test.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

struct RequestProfile {
  Api api = Api::kCompletions;
  ServerKind server = ServerKind::kUnknown;
  std::string model;         // "" = the server's only one, where its interface allows that
  std::string extra_fields;  // further members of the body, `"key":value,...`, or ""
};

// Replaces `out`. `stream` goes before the request's own wish. Decoding is greedy. Invalid UTF-8 in a prompt becomes U+FFFD.
void WriteRequestBody(const RequestProfile& profile, const load::RequestSpec& request, bool stream, std::string& out);

}  // namespace moecap::openai
