// The checks of IFEval one by one; ifeval.h uses them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "accuracy/ifeval.h"

namespace moecap::accuracy {

// What the reference calls a check's arguments, and the check. A name that is empty: it has no such argument.
struct InstructionKind {
  std::string_view id;
  InstructionVerdict (*check)(const Instruction& instruction,
                              const std::string& answer);  // of well-formed text that is not blank
  std::string_view number = {}, relation = {}, text = {}, texts = {}, nth = {};
};

std::span<const InstructionKind> InstructionKinds();

}  // namespace moecap::accuracy
