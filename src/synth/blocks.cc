#include "synth/blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/check.h"

namespace moecap::synth {
namespace {

// Bytes [begin, end) of a block that are the same in every block: sub-scales that make every sub-block alike.
struct Constant {
  uint8_t begin = 0;
  uint8_t end = 0;
  uint8_t value = 0;
};

// Layouts: the block structs in ggml-common.h of the pinned engine release. The units of the IQ types (values from a grid) are
// measured with the engine's own decoder, which a test repeats for every type.
struct Recipe {
  std::string_view type;
  int scale_at;         // of the fp16 scale d
  double unit;          // standard deviation of the elements when d is 1 and the quants are random
  int minimum_at = -1;  // of the fp16 minimum
  double minimum = 0;   // in units of d, so that the mean is 0; K types subtract it
  std::array<Constant, 2> constants{};
};

constexpr std::array kRecipes = {
    Recipe{"Q4_0", 0, 4.64},
    Recipe{"Q4_1", 0, 4.61, 2, -7.5},
    Recipe{"Q5_0", 0, 9.25},
    Recipe{"Q5_1", 0, 9.23, 2, -15.5},
    Recipe{"Q8_0", 0, 73.9},
    Recipe{"Q2_K", 80, 8 * 1.118, 82, 1.5, {Constant{0, 16, 0x88}}},
    Recipe{"Q3_K", 108, 16 * 2.29, -1, 0, {Constant{96, 104, 0x00}, Constant{104, 108, 0xff}}},
    Recipe{"Q4_K", 0, 17 * 4.61, 2, 7.5, {Constant{4, 12, 0x51}, Constant{12, 16, 0x11}}},
    Recipe{"Q5_K", 0, 17 * 9.23, 2, 15.5, {Constant{4, 12, 0x51}, Constant{12, 16, 0x11}}},
    Recipe{"Q6_K", 208, 16 * 18.5, -1, 0, {Constant{192, 208, 16}}},
    Recipe{"IQ4_NL", 0, 67.2},
    Recipe{"IQ4_XS", 0, 16 * 67.2, -1, 0, {Constant{2, 4, 0xff}, Constant{4, 8, 0x00}}},
    Recipe{"IQ2_XXS", 0, 53.2},
    Recipe{"IQ2_XS", 0, 55.9},
    Recipe{"IQ2_S", 0, 56.2},
    Recipe{"IQ3_XXS", 0, 141.5},
    Recipe{"IQ3_S", 0, 140.5},
    Recipe{"IQ1_S", 0, 7.18},
    Recipe{"TQ1_0", 52, 0.82},
    Recipe{"TQ2_0", 64, 1.12},
    Recipe{"Q1_0", 0, 1.0},
    Recipe{"Q2_0", 0, 1.12},
};

// Types with power-of-two or tiny-float scales: MXFP4 has one E8M0 byte (value 2^(e - 128) per half step), NVFP4 four UE4M3
// bytes.
constexpr double kE2m1Unit = 5.85;  // standard deviation of the 16 values in half steps

// A mantissa in [1, 2) with a random sign has this standard deviation.
constexpr double kMantissaUnit = 1.528;

std::vector<std::byte> Bytes(uint16_t value) {
  return {static_cast<std::byte>(value & 0xff), static_cast<std::byte>(value >> 8)};
}

int Exponent2(double value) { return static_cast<int>(std::lround(std::log2(value))); }

}  // namespace

uint16_t ToHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(value);
  if (!(magnitude < 65504)) return static_cast<uint16_t>(sign | 0x7bff);
  if (magnitude < 0x1p-24) return sign;
  const int exponent = std::max(std::ilogb(magnitude), -14);
  // A rounding up to the next power of two carries into the exponent field, as it should.
  const auto steps = static_cast<uint32_t>(std::lround(std::ldexp(magnitude, 10 - exponent)));
  const uint32_t normal = steps >= 1024 ? static_cast<uint32_t>(exponent + 15 - 1) << 10 : 0;
  return static_cast<uint16_t>(sign | (normal + steps));
}

std::vector<std::string> FillableTypes() {
  std::vector<std::string> names = {"F32", "F16", "BF16"};
  for (const Recipe& recipe : kRecipes) names.emplace_back(recipe.type);
  names.insert(names.end(), {"MXFP4", "NVFP4"});
  return names;
}

Result<BlockFiller> BlockFiller::Create(const model::GgmlType& type, double std_dev) {
  BlockFiller filler(static_cast<size_t>(type.block_bytes));
  const auto exponent = static_cast<uint32_t>(Exponent2(std_dev / kMantissaUnit));
  if (type.name == "F32") {
    filler.exponent_ = {4, 0x807fffff, (exponent + 127) << 23};
    return filler;
  }
  if (type.name == "BF16") {
    filler.exponent_ = {2, 0x807f, (exponent + 127) << 7};
    return filler;
  }
  if (type.name == "F16") {
    filler.exponent_ = {2, 0x83ff, static_cast<uint32_t>(std::clamp(static_cast<int>(exponent) + 15, 1, 29)) << 10};
    return filler;
  }
  if (type.name == "MXFP4") {
    filler.AddPatch(0, {static_cast<std::byte>(128 + Exponent2(std_dev / kE2m1Unit))});
    return filler;
  }
  if (type.name == "NVFP4") {
    // Subnormal UE4M3: the byte counts steps of 2^-9, halved because the values are in half steps.
    const double steps = std::clamp(std::round(std_dev / kE2m1Unit * 1024), 1.0, 15.0);
    filler.AddPatch(0, std::vector<std::byte>(4, static_cast<std::byte>(steps)));
    return filler;
  }
  const auto* recipe =
      std::find_if(kRecipes.begin(), kRecipes.end(), [&](const Recipe& candidate) { return candidate.type == type.name; });
  if (recipe == kRecipes.end()) {
    std::string known;
    for (const std::string& name : FillableTypes()) known += (known.empty() ? "" : ", ") + name;
    return BadInput(fmt::format("no synthetic weights of type {}; choose one of {}", type.name, known));
  }
  const double scale = std_dev / recipe->unit;
  filler.AddPatch(static_cast<size_t>(recipe->scale_at), Bytes(ToHalf(scale)), true);
  if (recipe->minimum_at >= 0)
    filler.AddPatch(static_cast<size_t>(recipe->minimum_at), Bytes(ToHalf(scale * recipe->minimum)), true);
  for (const Constant& constant : recipe->constants) {
    if (constant.begin == constant.end) continue;
    filler.AddPatch(constant.begin, std::vector<std::byte>(static_cast<size_t>(constant.end - constant.begin),
                                                           static_cast<std::byte>(constant.value)));
  }
  return filler;
}

void BlockFiller::AddPatch(size_t offset, std::vector<std::byte> bytes, bool is_signed) {
  patches_.push_back({offset, std::move(bytes), is_signed});
}

void BlockFiller::Fill(std::span<std::byte> bytes, Rng& rng) const {
  CHECK(bytes.size() % block_bytes_ == 0);
  const uint64_t pair = exponent_.bytes == 2 ? 0x0001000100010001u : 0x0000000100000001u;
  const uint64_t keep = exponent_.bytes == 0 ? ~uint64_t{0} : exponent_.keep * pair;
  const uint64_t set = exponent_.bytes == 0 ? 0 : exponent_.set * pair;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    const uint64_t value = (rng.Next() & keep) | set;
    std::memcpy(bytes.data() + at, &value, 8);
  }
  const uint64_t tail = (rng.Next() & keep) | set;
  std::memcpy(bytes.data() + at, &tail, bytes.size() - at);
  if (patches_.empty()) return;
  for (size_t block = 0; block < bytes.size(); block += block_bytes_) {
    const std::byte sign = (rng.Next() >> 63) != 0 ? std::byte{0x80} : std::byte{0};
    for (const Patch& patch : patches_) {
      std::byte* place = bytes.data() + block + patch.offset;
      std::memcpy(place, patch.bytes.data(), patch.bytes.size());
      if (patch.is_signed) place[1] ^= sign;
    }
  }
}

}  // namespace moecap::synth
