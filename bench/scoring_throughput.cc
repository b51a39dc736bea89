// How many answers a second each rule scores on one core, every verdict checked. Prints a JSON line a task and exits 1 where a
// verdict is wrong or a rate misses its floor: 20,000 a second, 2,000 for the graders of mathematics.
//   scoring_throughput [--no-floor] [ANSWERS]
#include <fmt/format.h>
#include <time.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "accuracy/contract.h"
#include "base/check.h"

namespace moecap::accuracy {
namespace {

double CpuSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Case {
  std::string prediction, gold;
  bool correct;
};

// What besides the gold is the same for all cases of a run.
struct Facts {
  std::string part = {};
  std::string facts = {};
};

// A worked solution of about 600 bytes before the answer, as models write them.
std::string Worked(int i) {
  std::string text;
  for (int step = 0; step < 8; ++step)
    text += fmt::format("Step {}: we add {} and {} to get {} = {}, then look at what is left over.\n", step + 1, i + step, i,
                        2 * i + step, 2 * i + step);
  return text;
}

std::vector<Case> Numbers(int count, const char* form) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    const bool right = i % 3 != 0;
    cases.push_back({Worked(i) + fmt::format(fmt::runtime(form), right ? i : i + 1), std::to_string(i), right});
  }
  return cases;
}

std::vector<Case> Letters(int count, const char* form, int letters) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    const char gold = static_cast<char>('A' + i % letters);
    const char said = i % 3 != 0 ? gold : static_cast<char>('A' + (i + 1) % letters);
    cases.push_back({Worked(i) + fmt::format(fmt::runtime(form), said), std::string(1, gold), said == gold});
  }
  return cases;
}

std::vector<Case> Mathematics(int count, const char* form) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    const int n = i % 97 + 2;
    const std::pair<std::string, std::string> equal[] = {
        {fmt::format("\\frac{{{}\\pi}}{{3}}", n), fmt::format("\\frac{{{}}}{{3}}\\pi", n)},
        {fmt::format("\\sqrt{{{}}}", 4 * n), fmt::format("2\\sqrt{{{}}}", n)},
        {fmt::format("(x+{})^2", n), fmt::format("x^2+{}x+{}", 2 * n, n * n)},
        {fmt::format("{}\\pi - \\frac{{1}}{{2}}", n), fmt::format("-\\frac12 + {}\\pi", n)}};
    const auto& [said, gold] = equal[i % 4];
    const bool right = i % 3 != 0;
    cases.push_back({Worked(i) + fmt::format(fmt::runtime(form), right ? said : said + "+1"), gold, right});
  }
  return cases;
}

// Replies to questions about a text, of which a third says something else: partly right by LongBench's metrics.
std::vector<Case> Summaries(int count) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    const std::string gold = Worked(i + 1).substr(0, 400) + fmt::format(". It ends with {}.", i);
    cases.push_back({i % 3 == 0 ? Worked(i) : gold, gold, i % 3 != 0});
  }
  return cases;
}

// Replies with commas, which are forbidden, and without.
std::vector<Case> Instructed(int count) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    std::string reply = Worked(i);
    const bool right = i % 3 != 0;
    if (right) std::erase(reply, ',');
    cases.push_back({std::move(reply), "", right});
  }
  return cases;
}

struct Run {
  const char *contract, *task;
  size_t filter;
  double floor;
  std::vector<Case> cases;
  Facts facts = {};
};

bool Measure(const Run& run, bool with_floor) {
  const auto task = FindTask(run.task, run.contract);
  CHECK(task.ok());
  const Filter& filter = (*task)->filters[run.filter];
  const std::vector<std::string> choices{"red fish", "blue fish", "green whale", "yellow"};
  int wrong = 0;
  std::vector<Reference> references;
  for (const Case& c : run.cases) {
    auto reference = ReadReference(**task, {{c.gold}, choices, run.facts.part, run.facts.facts});
    CHECK(reference.ok());
    references.push_back(std::move(*reference));
  }
  const double start = CpuSeconds();
  for (size_t i = 0; i < run.cases.size(); ++i)
    wrong += (Score(filter, run.cases[i].prediction, references[i]).Score() > 0.999) != run.cases[i].correct;
  const double rate = static_cast<double>(run.cases.size()) / (CpuSeconds() - start);
  fmt::print(
      "{{\"bench\":\"scoring\",\"contract\":\"{}\",\"task\":\"{}\",\"filter\":\"{}\",\"answers\":{},\"wrong\":{},\"answers_per_"
      "s\":"
      "{:.0f},\"floor_per_s\":{:.0f}}}\n",
      run.contract, run.task, run.facts.part.empty() ? std::string(filter.name) : run.facts.part, run.cases.size(), wrong, rate,
      run.floor);
  return wrong == 0 && (!with_floor || rate >= run.floor);
}

}  // namespace
}  // namespace moecap::accuracy

int main(int argc, char** argv) {
  using namespace moecap::accuracy;
  const bool with_floor = argc < 2 || std::strcmp(argv[1], "--no-floor") != 0;
  const int first = with_floor ? 1 : 2;
  const int count = argc > first ? std::atoi(argv[first]) : 20'000;
  CHECK(count > 0);
  constexpr double kFast = 20'000, kSlow = 2'000;
  const char* final_answer = "Final Answer: The final answer is ${}$. I hope it is correct.";
  const char* boxed = "So we have \\boxed{{{}}}.";
  bool good = true;
  for (const Run& run : {Run{"lm-eval", "gsm8k", 0, kFast, Numbers(count, "#### {}")},
                         Run{"lm-eval", "gsm8k", 1, kFast, Numbers(count, "#### {}")},
                         Run{"official", "gsm8k", 0, kFast, Numbers(count, "#### {}")},
                         Run{"moe-cap", "gsm8k", 0, kFast, Numbers(count, "#### {}")},
                         Run{"mlperf", "aime", 0, kFast, Numbers(std::min(count, 900), "\\boxed{{{}}}")},
                         Run{"lm-eval", "mmlu_pro", 0, kFast, Letters(count, "The answer is ({}).", 10)},
                         Run{"official", "mmlu_pro", 1, kFast, Letters(count, "Answer: {}", 10)},
                         Run{"mlperf", "mmlu_pro", 0, kFast, Letters(count, "Final Answer: ({})", 10)},
                         Run{"moe-cap", "mmlu_pro", 0, kFast, Letters(count, "The answer is ({}).", 10)},
                         Run{"lm-eval", "gpqa", 0, kFast, Letters(count, "The answer is ({}).", 4)},
                         Run{"lm-eval", "gpqa", 1, kFast, Letters(count, "The answer is ({}).", 4)},
                         Run{"official", "mmlu", 0, kFast, Letters(count, "Answer: {}", 4)},
                         Run{"lm-eval", "minerva_math", 0, kSlow, Mathematics(count, final_answer)},
                         Run{"lm-eval", "minerva_math", 1, kSlow, Mathematics(count, final_answer)},
                         Run{"official", "math500", 0, kSlow, Mathematics(count, boxed)},
                         Run{"official", "longbench", 0, kFast, Summaries(count), {"qasper"}},
                         Run{"official", "longbench", 0, kFast, Summaries(count), {"gov_report"}},
                         Run{"lm-eval",
                             "ifeval",
                             0,
                             kFast,
                             Instructed(count),
                             {"", R"({"instruction_id_list":["punctuation:no_comma"],"kwargs":[{}]})"}}})
    good &= Measure(run, with_floor);
  return good ? 0 : 1;
}
