// HTTP requests and answers as values, and what is read out of a request's target.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap::web {

// What comes before the body of a request.
struct Head {
  std::string method;                                       // "GET"
  std::string target;                                       // as it was sent: "/runs/a%20b?sort=tpot_mean_s"
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  // The first field of that name; empty when there is none.
  std::string_view Field(std::string_view name) const;
  size_t CountOf(std::string_view name) const;
};

struct Request {
  Head head;
  std::string body;
};

// An answer that goes on until one side has enough: server-sent events (WHATWG HTML, "Server-sent events").
class EventStream {
 public:
  virtual ~EventStream() = default;
  // What is new, as EventText has it; empty: nothing is. Null: that was all. Never called twice at once.
  virtual std::optional<std::string> Next() = 0;
};

// One event; `data` holds no line break.
std::string EventText(std::string_view name, std::string_view data);

struct Response {
  int status = 200;
  std::string type = "text/html; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;
  std::shared_ptr<EventStream> events = nullptr;  // null: `body` is all; else it is not sent, and `type` is kEventType
};

inline constexpr const char* kEventType = "text/event-stream";
inline constexpr const char* kJsonType = "application/json";
inline constexpr const char* kTextType = "text/plain; charset=utf-8";

// The text of %XX escapes. Null for an escape that is none, and for what holds a NUL.
std::optional<std::string> DecodePercent(std::string_view text, bool plus_is_space = false);
// For a segment of a path or a value of a query: letters, digits and "-._~" stay.
std::string EncodePercent(std::string_view text);

// The segments of a target's path, decoded: "/runs/a%20b?x" -> {"runs", "a b"}; "/" -> {}. Null for a target that does not
// begin with '/', has an escape that is none, or a segment that a file system would act on: "", ".", "..", with '/' or a
// control character.
std::optional<std::vector<std::string>> PathSegments(std::string_view target);

// The pairs of a query, decoded, in the order in which they stand.
class Query {
 public:
  // Of a target; pairs whose escapes are wrong are left out.
  static Query Of(std::string_view target);

  // The last of that name; empty when there is none.
  std::string Get(std::string_view name) const;
  std::vector<std::string> All(std::string_view name) const;
  bool Has(std::string_view name) const;
  // A whole number from `low` to `high`; `otherwise` when there is none or it is no such number.
  int64_t Whole(std::string_view name, int64_t low, int64_t high, int64_t otherwise) const;

  void Set(std::string name, std::string value);  // instead of all of that name; an empty value takes them away
  void Add(std::string name, std::string value) { pairs_.emplace_back(std::move(name), std::move(value)); }
  // "?a=b&c=d"; empty without pairs.
  std::string Text() const;

  const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace moecap::web
