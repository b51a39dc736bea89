// Result<T>: the value of an operation that can fail for a reason the user can act on.
//
// Expected failures (files, parsing, configuration, an engine that refuses) travel as values; bugs hit CHECK. A message names
// what was wrong, where, and what to do. The surface follows std::expected.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace moecap {

// Who has to act; the command line maps it to the exit code.
enum class ErrorKind {
  kBadInput,      // exit 2: a flag, a file or a config the user gave
  kFailed,        // exit 1: the run itself failed
  kTargetMissed,  // exit 3: everything worked, but a limit that was asked for is not kept
  kInterrupted,   // exit 130: the user stopped it
};

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;
};

inline Error BadInput(std::string message) { return {ErrorKind::kBadInput, std::move(message)}; }
inline Error Failed(std::string message) { return {ErrorKind::kFailed, std::move(message)}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Requires ok().
  const T& value() const& {
    CHECK(ok());
    return std::get<0>(state_);
  }
  T& value() & {
    CHECK(ok());
    return std::get<0>(state_);
  }
  // By value, so that `for (auto& x : *Read())` does not dangle.
  T value() && {
    CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  // Requires !ok().
  const Error& error() const {
    CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// The same error with `where` in front: "FILE: message".
inline Error Annotate(const std::string& where, const Error& error) { return {error.kind, where + ": " + error.message}; }

}  // namespace moecap

// RETURN_IF_ERROR(Write(x));            ASSIGN_OR_RETURN(auto spec, LoadModel(path));
#define RETURN_IF_ERROR(expression)                                         \
  do {                                                                      \
    if (auto status_ = (expression); !status_.ok()) return status_.error(); \
  } while (false)
#define MOECAP_CONCAT_INNER(a, b) a##b
#define MOECAP_CONCAT(a, b) MOECAP_CONCAT_INNER(a, b)
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(MOECAP_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                   \
  if (!temporary.ok()) return temporary.error();                   \
  declaration = std::move(temporary).value()
