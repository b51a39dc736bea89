// The words in which servers say why an answer ended.
#pragma once

#include <string_view>

#include "system/openai/dialect.h"
#include "system/openai/event_reader.h"

namespace moecap::openai {

struct FinishMeaning {
  FinishKind kind = FinishKind::kNone;
  bool usual = false;  // a word that this interface's documentation knows for an answer that is whole
};

// `reason` is not empty. Words of other interfaces and other spellings ("STOP") are read too; an unknown word is a stop: the
// field's clients read on, so a request does not fail over it. Errors, aborts and cancellations are kAbort.
FinishMeaning MeaningOf(Api api, std::string_view reason);

}  // namespace moecap::openai
