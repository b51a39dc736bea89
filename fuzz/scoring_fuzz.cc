// Replies and golds of any bytes under every filter of every task; the file formats that hold them.
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
    for (const accuracy::Filter& filter : task.filters) {
      const accuracy::Verdict verdict = accuracy::Score(filter, {reply, gold, choices});
      CHECK(verdict.extracted || !verdict.correct);
    }
    if (const auto read = accuracy::ReadGold(task, gold); read.ok()) CHECK(!read->empty());
    const auto predictions = accuracy::ParsePredictions(text, "fuzz", task, nullptr);
    CHECK(!predictions.ok() || !predictions->items.empty());
  }
  for (const auto dialect :
       {accuracy::math::Dialect::kAnswer, accuracy::math::Dialect::kSympyLatex, accuracy::math::Dialect::kSympyPlain}) {
    bool gave_up = false;
    if (const auto expr = accuracy::math::Parse(reply, dialect, &gave_up)) accuracy::math::SameAnswer(*expr, *expr, &gave_up);
  }
  return 0;
}
