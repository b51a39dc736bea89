#include "web/guard.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

namespace moecap::web {
namespace {

// A page from elsewhere must not learn from the time that a comparison takes.
bool SameText(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  int difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

Response Refusal(int status, std::string text) { return {status, kTextType, std::move(text) + "\n", {}}; }

std::string_view AuthorityOf(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

std::optional<Response> RefuseWriting(const Head& head, const GuardOptions& options) {
  if (!options.token) return Refusal(403, "this server only reads; start it with --write to let runs be added");
  if (const auto origin = head.Field("origin"); !origin.empty() && AuthorityOf(origin) != head.Field("host"))
    return Refusal(403, "a page of another origin may not write here");
  if (const auto site = head.Field("sec-fetch-site"); !site.empty() && site != "same-origin" && site != "none")
    return Refusal(403, "a page of another site may not write here");
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = head.Field("authorization");
  if (!given.starts_with(kScheme) || !SameText(given.substr(kScheme.size()), *options.token)) {
    Response response = Refusal(401, "writing needs the token that the server printed when it started");
    response.fields.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  return std::nullopt;
}

}  // namespace

std::string HostName(std::string_view authority) {
  std::string_view host = authority;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return "";
    host = host.substr(1, end - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  std::string lower(host);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

bool IsAddress(std::string_view host) {
  const std::string text(host);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 || ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

std::optional<Response> Refuse(const Head& head, const GuardOptions& options) {
  constexpr std::array<std::string_view, 4> kMethods = {"GET", "HEAD", "POST", "PUT"};
  if (std::find(kMethods.begin(), kMethods.end(), head.method) == kMethods.end()) {
    Response response = Refusal(405, "GET, HEAD, POST and PUT are known here");
    response.fields.emplace_back("Allow", "GET, HEAD, POST, PUT");
    return response;
  }
  if (head.CountOf("host") != 1) return Refusal(400, "a request names one host");
  const std::string host = HostName(head.Field("host"));
  if (host != "localhost" && !IsAddress(host) &&
      std::find(options.hosts.begin(), options.hosts.end(), host) == options.hosts.end())
    return Refusal(421, "this server is not known by that name; start it with --host NAME if it is yours");
  if (!PathSegments(head.target)) return Refusal(400, "this is no path");
  if (head.method == "GET" || head.method == "HEAD") return std::nullopt;
  return RefuseWriting(head, options);
}

void AddSecurityFields(Response& response) {
  const auto add = [&](const char* name, const char* value) {
    const bool there =
        std::any_of(response.fields.begin(), response.fields.end(), [&](const auto& field) { return field.first == name; });
    if (!there) response.fields.emplace_back(name, value);
  };
  add("Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
      "base-uri 'none'; frame-ancestors 'none'");
  add("X-Content-Type-Options", "nosniff");
  add("X-Frame-Options", "DENY");
  add("Referrer-Policy", "no-referrer");
  add("Cross-Origin-Opener-Policy", "same-origin");
  add("Cross-Origin-Resource-Policy", "same-origin");
  add("Cache-Control", "no-cache");
}

Response Download(std::string type, std::string body, std::string_view file_name) {
  std::string name;
  for (const char c : file_name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    name += plain ? c : '_';
  }
  return {200,
          std::move(type),
          std::move(body),
          {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"},
           {"Content-Disposition", fmt::format("attachment; filename=\"{}\"", name)}}};
}

Result<std::string> MakeToken() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Failed("the system gives no random bytes for the token");
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

}  // namespace moecap::web
