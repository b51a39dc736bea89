// IFEval (Zhou et al. 2023, arXiv 2311.07911): whether an answer follows instructions that a program can check. The 25 checks
// of google-research/instruction_following_eval at 3f357bd, which lm-evaluation-harness 0.4.13 (task ifeval, version 4) uses as
// well.
//
// A check that rests on a trained model of others is judged only where its verdict does not hang on that model; otherwise it is
// null with the reason, and never counted as followed or not.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::accuracy {

enum class Relation : uint8_t { kAtLeast, kLessThan };

// One instruction with the arguments that its kind has.
struct Instruction {
  std::string id;  // "keywords:frequency"
  Relation relation = Relation::kAtLeast;
  int64_t number = 0;              // of words, paragraphs, bullets, ...
  int64_t nth = 0;                 // of which paragraph, from 1
  std::string text;                // keyword, phrase, language, ...
  std::vector<std::string> texts;  // keywords
};

// From a row's `instruction_id_list` and `kwargs` entry; nulls are as good as missing, others than those of its kind are
// ignored. Error: kBadInput for an unknown id, and for an argument that is missing or has no meaning, for which the reference
// draws a random one.
Result<Instruction> ReadInstruction(std::string_view id, const Json& arguments);

struct InstructionVerdict {
  std::optional<bool> followed;  // null: not judged
  std::string reason;            // why not judged
};

// Of the answer as it is ("strict"). An answer of blanks follows nothing.
InstructionVerdict CheckInstruction(const Instruction& instruction, std::string_view answer);

// "Loose": followed by any of eight variants of the answer: without its first line, its last, both, and each also without
// asterisks.
InstructionVerdict CheckInstructionLoosely(const Instruction& instruction, std::string_view answer);

struct IfevalVerdict {
  std::vector<InstructionVerdict> strict, loose;    // of each instruction
  std::optional<bool> prompt_strict, prompt_loose;  // all followed; false as soon as one is not, null while one is not judged
};
IfevalVerdict JudgeIfeval(std::span<const Instruction> instructions, std::string_view answer);

// A share of which some items are not judged.
struct JudgedShare {
  int64_t followed = 0, judged = 0, not_judged = 0;

  std::optional<double> Share() const;  // of those judged; null for none
  // Where the share of all lies, whatever the rest is. Null for no items.
  std::optional<double> Least() const;
  std::optional<double> Most() const;
};
// The four figures of the benchmark.
struct IfevalScore {
  JudgedShare prompt_strict, instruction_strict, prompt_loose, instruction_loose;
};
IfevalScore ScoreIfeval(std::span<const IfevalVerdict> verdicts);

}  // namespace moecap::accuracy
