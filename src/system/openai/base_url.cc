#include "system/openai/base_url.h"

#include <algorithm>

namespace moecap::openai {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "/v1", "/v4", "/v1beta".
bool IsVersion(std::string_view segment) {
  if (segment.size() < 3 || !segment.starts_with("/v") || !IsDigit(segment[2])) return false;
  return std::ranges::all_of(segment.substr(3), [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'z'); });
}

// The path's last segment with its slash.
std::string_view LastSegment(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(slash);
}

void TakeVersion(BaseUrl& base) {
  const std::string_view last = LastSegment(base.url.path);
  if (!IsVersion(last)) return;
  base.version = last;
  base.url.path.resize(base.url.path.size() - base.version.size());
}

// An interface's path behind another version, or behind none.
struct Ending {
  std::string_view path;
  Api api;
};
constexpr Ending kEndings[] = {
    {"/chat/completions", Api::kChat},
    {"/completions", Api::kCompletions},
    {"/responses", Api::kResponses},
    {"/messages", Api::kMessages},
};

}  // namespace

Result<BaseUrl> ParseBaseUrl(std::string_view text) {
  BaseUrl base;
  const size_t question = std::min(text.find('?'), text.size());
  ASSIGN_OR_RETURN(base.url, net::ParseUrl(text.substr(0, question)));
  if (question < text.size()) base.query = text.substr(question + 1);
  std::string& path = base.url.path;
  constexpr std::string_view kModels = "/v1/models";
  if (path.ends_with(kModels)) path.resize(path.size() - kModels.size());
  if (const auto end = FindPathEnd(path)) {
    base.api = end->api;
    path.resize(end->before.size());
    return base;
  }
  for (const Ending& ending : kEndings) {
    if (!path.ends_with(ending.path)) continue;
    base.api = ending.api;
    path.resize(path.size() - ending.path.size());
    base.version.clear();
    break;
  }
  TakeVersion(base);
  return base;
}

}  // namespace moecap::openai
