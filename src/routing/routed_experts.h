// The experts that a server says each token of an answer used, from the encodings in which servers say it:
//
// | server          | encoding                                                                             |
// |-----------------|--------------------------------------------------------------------------------------|
// | vLLM 0.22 on    | base64 of a .npy [rows, layers, top-k], whose header names type and order            |
// | SGLang          | base64 of little-endian int32, without a shape                                       |
// | vLLM 0.21, LMDeploy | nested JSON lists [rows][layers][top-k]; -1 where nothing was recorded           |
//
// The encoding is told by what is sent, never by a version. Rows are the tokens that went into the model: the prompt, those
// from a prefix cache included, and the output without its last token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::routing {

// No expert: a token that was not recorded.
inline constexpr uint16_t kNoExpert = 0xffff;
inline constexpr int kMostExperts = 1024;
inline constexpr int kMostLayers = 4096;
inline constexpr int kMostTopK = 256;
// Of one answer's routes as they are sent. Decoding one takes at most 2.5 times its size besides.
inline constexpr size_t kMostEncodedBytes = size_t{64} << 20;

struct RoutedExperts {
  int64_t rows = 0;  // tokens
  int layers = 0;    // as the server counts them: all of the model's, in most servers
  int top_k = 0;
  std::vector<uint16_t> ids;    // [row][layer][k] in the server's order, which is that of the router's weights
  int64_t most_id = INT64_MAX;  // that the type in which they were sent can hold

  bool empty() const { return rows == 0; }
  // top_k ids. 0 <= row < rows, 0 <= layer < layers.
  std::span<const uint16_t> Ids(int64_t row, int layer) const;
  // Whether a router can have chosen so: every id given, all of them different. A dense layer (zeros), a token that was not
  // recorded and an engine that does not report its choice are none.
  bool IsChoice(int64_t row, int layer) const;
};

// What is known of the model that the server runs, and of the answer; 0 = not known.
struct RoutedShape {
  int layers = 0;  // all layers, dense ones included
  int top_k = 0;
  int experts = 0;   // routed experts of a layer
  int64_t rows = 0;  // tokens of prompt and output, less 1
};

// Whether the encoding tells its own shape; SGLang's does not.
bool TellsShape(std::string_view encoded);

// `encoded`: the text of a JSON string, or a JSON list. Errors kBadInput, each with what to do: an encoding that is none of the
// above, more than kMostEncodedBytes, an id below -1 or that the model does not have, a type that cannot hold the model's ids,
// another shape than that of `shape`, or a shape that neither says (SGLang needs two of layers, top-k and rows).
Result<RoutedExperts> DecodeRoutedExperts(std::string_view encoded, const RoutedShape& shape = {});

// The same of a .npy file's bytes, of any size.
Result<RoutedExperts> DecodeRoutedNpy(std::span<const std::byte> bytes, const RoutedShape& shape = {});

// Adds the rows of `more`, of the same answer. Error kBadInput: other layers or another top-k.
Status Append(RoutedExperts& experts, const RoutedExperts& more);

// Whether `counts` ([layer][expert], tokens per expert) show the same choices in every layer: what engines with dummy weights,
// equal in every layer, report, and a trained model never does. False for fewer than two layers, or where it may be chance:
// fewer than 32 uses of experts, or every expert used alike.
bool AllLayersAlike(std::span<const std::vector<int64_t>> counts);

// What the answers of one server have in common, gathered one by one.
class RoutedSurvey {
 public:
  // Error kBadInput: other layers or another top-k than those of the answers before, as from another model.
  Status Add(const RoutedExperts& experts);

  int layers() const { return static_cast<int>(counts_.size()); }
  int top_k() const { return top_k_; }
  int highest_id() const { return highest_; }  // of all choices; -1 = no choice
  // Per layer: whether any row of it is a choice. The others are dense, or not reported. With a top-k of 1, where [0] may be
  // either, a layer of nothing but zeros is not used.
  std::vector<bool> used() const;
  bool any_used() const;
  int64_t missing_rows() const;  // (row, layer) without a choice, in used layers
  bool layers_alike() const;     // AllLayersAlike of the used layers

 private:
  int top_k_ = 0;
  int highest_ = -1;
  std::vector<std::vector<int64_t>> counts_;  // [layer][expert]
  std::vector<int64_t> missing_;              // rows without a choice, per layer
};

}  // namespace moecap::routing
