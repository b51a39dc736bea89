#include "record/pass_record.h"

namespace moecap::record {

int64_t PassRecord::NewTokens() const {
  int64_t tokens = 0;
  for (const SequenceSlice& slice : sequences) tokens += slice.new_tokens * slice.count;
  return tokens;
}

int64_t PassRecord::SequenceCount() const {
  int64_t count = 0;
  for (const SequenceSlice& slice : sequences) count += slice.count;
  return count;
}

}  // namespace moecap::record
