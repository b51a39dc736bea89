// tinymath: grade-school arithmetic word problems in GSM8K's form, generated from templates.
//
// A problem is a pure function of (split, seed, index). Training and test problems cannot overlap: the split is a
// hash of what makes a problem the same problem (its template and its operands), whatever names and words surround it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::tinymath {

enum class Split { kTest, kTrain };

struct Problem {
  std::string id;                     // "tinymath-test-0007"
  std::string template_id;            // "farm5"
  std::vector<std::string> operands;  // the numbers of the question, in the template's order
  std::string question;
  std::string answer;  // one "a*b=c" line a step, then "#### c"
  int steps = 0;
};

// The templates, parsed once; immutable and safe to share between threads.
int TemplateCount();
std::string_view TemplateId(int index);        // 0 <= index < TemplateCount()
int TemplateSteps(int index);                  // 2..8
std::string_view TemplateStepList(int index);  // the steps as written in the template, e.g. "a*b #1+c"

// Split rule: FNV-1a 64 of "template|operand,operand,..." folded to 4 bits; bucket 0 of 16 is the test split.
std::string SplitKey(std::string_view template_id, const std::vector<std::string>& operands);
std::uint64_t Fnv1a64(std::string_view bytes);
bool IsTestKey(std::string_view key);

// Problem number `index` of the stream named by split and seed. Template = (index * 29) mod TemplateCount(), so every
// run of TemplateCount() problems holds each template once.
Problem MakeProblem(Split split, std::uint64_t seed, std::uint64_t index);

// One JSON line (no newline): id, template, steps, operands, question, answer.
std::string ToJsonLine(const Problem& problem);

}  // namespace moecap::tinymath
