// What a request to `moecap serve` names: paths, queries, hosts, origins. Whatever is let in leads nowhere else.
#include <algorithm>
#include <array>

#include "fuzz/fuzz.h"
#include "web/guard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  std::string_view rest = fuzz::Text(data, size);
  std::array<std::string, 5> lines;  // method, target, host, origin, authorization
  for (std::string& line : lines) {
    line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  web::Head head{lines[0], lines[1], {{"host", lines[2]}, {"authorization", lines[4]}}};
  if (!lines[3].empty()) head.fields.emplace_back("origin", lines[3]);
  const auto refusal = web::Refuse(head, {.hosts = {"bench.example.org"}, .token = "0123456789abcdef"});
  if (!refusal) {
    const auto path = web::PathSegments(head.target);
    CHECK(path.has_value());
    for (const std::string& segment : *path)
      CHECK(!segment.empty() && segment != "." && segment != ".." && segment.find('/') == std::string::npos);
    CHECK(head.method == "GET" || head.method == "HEAD" || head.Field("authorization") == "Bearer 0123456789abcdef");
  }
  // What is written as a query is read as the same.
  const web::Query query = web::Query::Of(head.target);
  CHECK(web::Query::Of("/" + query.Text()).pairs() == query.pairs());
  const auto decoded = web::DecodePercent(web::EncodePercent(lines[2]));
  CHECK(lines[2].find('\0') != std::string::npos || decoded == lines[2]);
  return 0;
}
