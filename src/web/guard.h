// Which requests are let in, before anything of them is looked at. Against other web sites in the same browser (DNS rebinding,
// forged requests), strangers who would write, and names that a file system would act on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "web/http.h"

namespace moecap::web {

struct GuardOptions {
  // Names under which this server is asked for, besides "localhost" and any IP address, which no name service can redirect.
  std::vector<std::string> hosts;
  std::optional<std::string> token;  // null: nothing may be written
};

// What is said instead of an answer; null: the request may go on. A request that would write (all but GET and HEAD) needs the
// token in "Authorization: Bearer TOKEN" and, where a browser names its origin, this server's own.
std::optional<Response> Refuse(const Head& head, const GuardOptions& options);

// "127.0.0.1" of "127.0.0.1:7070", "::1" of "[::1]:7070"; in lower case. Empty for what is no host.
std::string HostName(std::string_view authority);
// Whether a browser can only reach this machine by that name.
bool IsAddress(std::string_view host);

// What every answer bears: no other origin may frame, embed or read it, and it loads nothing from elsewhere.
void AddSecurityFields(Response& response);
// The same for a file that somebody else may have had a hand in: it runs nothing and is saved, not shown.
Response Download(std::string type, std::string body, std::string_view file_name);

// 128 random bits of the system, in hex. Error: kFailed.
Result<std::string> MakeToken();

}  // namespace moecap::web
