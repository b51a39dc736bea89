// Owner of a llama_batch. Private to this folder.
#pragma once

#include <llama.h>

#include <vector>

#include "system/llamacpp/pass_log.h"

namespace moecap::llamacpp {

// A llama_batch of fixed capacity, one sequence a token.
class Batch {
 public:
  explicit Batch(int capacity) : batch_(llama_batch_init(capacity, 0, 1)) {}
  ~Batch() { llama_batch_free(batch_); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const llama_batch& Fill(const std::vector<BatchToken>& tokens) {
    batch_.n_tokens = static_cast<int32_t>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      batch_.token[i] = tokens[i].token;
      batch_.pos[i] = tokens[i].position;
      batch_.n_seq_id[i] = 1;
      batch_.seq_id[i][0] = tokens[i].slot;
      batch_.logits[i] = tokens[i].output ? 1 : 0;
    }
    return batch_;
  }

 private:
  llama_batch batch_;
};

}  // namespace moecap::llamacpp
