// Random tensor data in any GGUF type, made directly in its stored form: random quants under a scale of fixed size.
//
// The scale's sign is random, a block at a time. The quants of many types are not symmetric (Q4_0: -8 to 7); without the sign
// every matrix would push every token a little in the same direction, which grows with the width and routes all tokens alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "model/ggml_type.h"

namespace moecap::synth {

class BlockFiller {
 public:
  // For elements of standard deviation about `std_dev` (within a factor of 1.5, as power-of-two scales are coarse; NVFP4 holds
  // 0.006 to 0.09) and a mean near 0. Error kBadInput for types that hold no weights or that cannot be made, naming those that
  // can.
  static Result<BlockFiller> Create(const model::GgmlType& type, double std_dev);

  // `bytes` must be a whole number of blocks.
  void Fill(std::span<std::byte> bytes, Rng& rng) const;

 private:
  struct Patch {
    size_t offset = 0;
    std::vector<std::byte> bytes;
    bool is_signed = false;  // a half that takes its block's random sign
  };
  // Where a float type keeps its exponent, to overwrite it in every element.
  struct Exponent {
    int bytes = 0;  // per element; 0 = not a float type
    uint32_t keep = 0;
    uint32_t set = 0;
  };

  explicit BlockFiller(size_t block_bytes) : block_bytes_(block_bytes) {}
  void AddPatch(size_t offset, std::vector<std::byte> bytes, bool is_signed = false);

  size_t block_bytes_;
  std::vector<Patch> patches_;
  Exponent exponent_;
};

// Names of the types that BlockFiller can make.
std::vector<std::string> FillableTypes();

// IEEE half precision, rounded to nearest; subnormals kept.
uint16_t ToHalf(double value);

}  // namespace moecap::synth
