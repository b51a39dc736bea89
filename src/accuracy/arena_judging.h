// What a judge is shown, what it said, and what comes of it: the files and the figures of judging Arena-Hard. Asking is
// app/judging.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/arena_hard.h"
#include "base/result.h"

namespace moecap::accuracy {

struct ArenaAnswer {
  std::string uid;
  std::optional<std::string> text;  // without reasoning; null: the request failed
  std::optional<int64_t> tokens;    // as the file counts them (arena-hard-auto: GPT-4o's)
  int64_t row = 0;                  // of the file, from 1
};

// JSON lines in arena-hard-auto's form (uid, messages, metadata.token_len) or plain (uid or id; prediction or text, null or
// with `error`: the request failed). Error: kBadInput with file and row: no JSON, a missing field, a uid twice, no rows.
Result<std::vector<ArenaAnswer>> ParseArenaAnswers(std::string_view text, const std::string& name);

// One game that a judge has judged.
struct Judgement {
  std::string uid;
  int round = 0;  // 0: A is the baseline
  std::optional<std::string> verdict;
  std::string text;
  std::string judge;  // the model
  std::string shown;  // fingerprint of the messages that it was sent
  int64_t input_tokens = 0, output_tokens = 0;
};

// With a line end. A file of such lines is what a judging leaves and what it goes on from.
std::string JudgementLine(const Judgement& judgement);

struct JudgementFile {
  std::vector<Judgement> judgements;
  size_t whole_bytes = 0;  // what follows is the beginning of a line whose writing was interrupted
};
// Error: kBadInput with file and row.
Result<JudgementFile> ParseJudgements(std::string_view text, const std::string& name);

// A question with both answers.
struct ArenaPair {
  std::string uid, category;
  ArenaAnswer model, baseline;
};

struct ArenaResult {
  std::string category;
  int64_t questions = 0;
  int64_t lost = 0;  // of these, where the model's request failed: decisively lost in both rounds, and not shown to the judge
  int64_t dropped = 0;  // where a round has no verdict: in no score
  int64_t battles = 0;
  std::optional<ArenaScore> score;             // null: no battle
  std::optional<StyleControlledScore> styled;  // at equal style; tokens are the files', or bytes over 4 where one lacks them
  bool tokens_are_estimated = false;
  std::optional<double> moe_cap;  // MoeCapWinRate, from the same judgements
};

// By category, in order of appearance. Of several judgements of a game the last counts.
std::vector<ArenaResult> ScoreArena(std::span<const ArenaPair> pairs, std::span<const Judgement> judgements,
                                    const Bootstrap& bootstrap);

}  // namespace moecap::accuracy
