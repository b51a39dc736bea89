// Answers that a file gives to prompts, so that what a client makes of them is known beforehand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::mock {

// A text as tokens: words with the white space before them, and other characters (tokenizer.h).
struct KnownText {
  std::vector<std::string> pieces;  // escaped for JSON; together the text
  std::vector<int32_t> ids;         // of each
  int64_t reasoning = 0;            // so many of the first are reasoning
};

struct KnownAnswer {
  bool failed = false;  // the request failed when the file was made: `"prediction": null`
  KnownText apart;      // for interfaces with a field for reasoning: the reasoning, then the answer
  KnownText inline_;    // for others: the reasoning between <think> and </think>, then the answer
};

class KnownAnswers {
 public:
  // JSON lines with "prediction" (a text, or null: the request fails), optionally "reasoning", and at least one of "prompt"
  // (the text as sent), "messages" (the last one counts) and "id". Other keys are left alone, so that `moecap score` reads the
  // same file. `vocab` >= 4: of the ids. Errors kBadInput with file and line: what is missing or of another type, a prompt or
  // id that two lines answer.
  static Result<KnownAnswers> Parse(std::string_view text, const std::string& file, int64_t vocab);
  static Result<KnownAnswers> Read(const std::filesystem::path& file, int64_t vocab);

  // `prompt`: of a chat its last message. Without a line for it, by id: `request_id` is one, or ends in "-" and one, as this
  // program names its requests. Null: the file holds no answer; it stays valid as long as this object.
  const KnownAnswer* Find(std::string_view prompt, std::string_view request_id) const;

  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::vector<KnownAnswer> answers_;
  std::map<std::string, size_t, std::less<>> by_prompt_, by_id_;
};

// The text of tokens `first`, ... of an answer, escaped for JSON: as `known` has it, or (null) their own words.
void AppendTokenTexts(const KnownText* known, std::span<const int32_t> ids, int64_t first, std::string& out);

}  // namespace moecap::mock
