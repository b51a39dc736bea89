// Replies and golds of any bytes under every filter of every task; the file formats that hold them.
#include "accuracy/arena_judging.h"
#include "accuracy/contract.h"
#include "accuracy/math_parse.h"
#include "accuracy/math_verify.h"
#include "accuracy/predictions.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const std::string_view text = fuzz::Text(data, size);
  // The first line is the reply, what follows is the gold.
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view reply = text.substr(0, end), gold = text.substr(std::min(end + 1, text.size()));
  const std::vector<std::string> choices{std::string(gold.substr(0, 8)), "blue", "a"};
  for (const accuracy::Task& task : accuracy::Tasks()) {
    accuracy::Reference reference;
    reference.gold = gold;
    reference.golds = {std::string(gold), "Paragraph 3"};
    reference.choices = choices;
    reference.part = choices[0];
    const auto facts = accuracy::ReadReference(task, {{std::string(gold)}, choices, "trec", std::string(gold)});
    if (facts.ok()) reference = *facts;
    for (const accuracy::Filter& filter : task.filters) {
      const accuracy::Verdict verdict = accuracy::Score(filter, reply, reference);
      CHECK(verdict.extracted || !verdict.correct);
    }
    const auto read = accuracy::ReadGold(task, gold);
    CHECK(!read.ok() || !read->empty() || task.gold == accuracy::GoldForm::kNone);
    const auto predictions = accuracy::ParsePredictions(text, "fuzz", task, nullptr);
    CHECK(!predictions.ok() || !predictions->items.empty());
  }
  const auto answers = accuracy::ParseArenaAnswers(text, "fuzz");
  CHECK(!answers.ok() || !answers->empty());
  const auto judgements = accuracy::ParseJudgements(text, "fuzz");
  CHECK(!judgements.ok() || judgements->whole_bytes <= text.size());
  for (const auto dialect :
       {accuracy::math::Dialect::kAnswer, accuracy::math::Dialect::kSympyLatex, accuracy::math::Dialect::kSympyPlain}) {
    bool gave_up = false;
    if (const auto expr = accuracy::math::Parse(reply, dialect, &gave_up)) accuracy::math::SameAnswer(*expr, *expr, &gave_up);
  }
  return 0;
}
