#if defined(__x86_64__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "hardware/probe/kernels.h"

#define MOECAP_AMX __attribute__((target("amx-tile,amx-bf16,amx-int8")))

namespace moecap::hardware::kernels {
namespace {

// Palette 1 of the Intel 64 manual, volume 1, chapter 18: eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

constexpr int kTileBytes = 16 * 64;
constexpr int kSums = 4;
// Each iteration adds 32 to every bf16 sum: 2^18 x 32 = 2^23 is still exact in fp32.
constexpr int64_t kExactIterations = int64_t{1} << 18;

struct alignas(64) Tile {
  unsigned char bytes[kTileBytes];
};

// Whether all elements of the four sum tiles equal `expected`.
template <typename T>
bool AllEqual(const std::array<Tile, kSums>& sums, T expected) {
  bool equal = true;
  for (const Tile& tile : sums) {
    for (int i = 0; i < kTileBytes; i += 4) {
      T value;
      std::memcpy(&value, tile.bytes + i, sizeof(value));
      equal &= value == expected;
    }
  }
  return equal;
}

MOECAP_AMX void ZeroSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

MOECAP_AMX void StoreSums(std::array<Tile, kSums>& sums) {
  _tile_stored(0, sums[0].bytes, 64);
  _tile_stored(1, sums[1].bytes, 64);
  _tile_stored(2, sums[2].bytes, 64);
  _tile_stored(3, sums[3].bytes, 64);
}

// Tiles 4 and 5 hold the left operand, 6 and 7 the right one: 2 x 2 products, as matrix kernels block them.
MOECAP_AMX void LoadOperands(const Tile& left, const Tile& right) {
  _tile_loadd(4, left.bytes, 64);
  _tile_loadd(5, left.bytes, 64);
  _tile_loadd(6, right.bytes, 64);
  _tile_loadd(7, right.bytes, 64);
}

MOECAP_AMX bool Bf16Tiles(int64_t iterations) {
  const TileConfig config;
  _tile_loadconfig(&config);
  Tile ones;
  for (int i = 0; i < kTileBytes; i += 2) {
    const uint16_t one = 0x3f80;  // 1.0 in bf16
    std::memcpy(ones.bytes + i, &one, sizeof(one));
  }
  LoadOperands(ones, ones);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    ZeroSums();
    for (int64_t i = 0; i < count; ++i) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    std::array<Tile, kSums> sums;
    StoreSums(sums);
    right &= AllEqual(sums, static_cast<float>(32 * count));
    iterations -= count;
  }
  _tile_release();
  return right;
}

MOECAP_AMX bool Int8Tiles(int64_t iterations) {
  const TileConfig config;
  _tile_loadconfig(&config);
  Tile threes;
  Tile minus_twos;
  std::memset(threes.bytes, 3, kTileBytes);
  std::memset(minus_twos.bytes, 0xfe, kTileBytes);
  LoadOperands(threes, minus_twos);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    ZeroSums();
    for (int64_t i = 0; i < count; ++i) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
    std::array<Tile, kSums> sums;
    StoreSums(sums);
    right &= AllEqual(sums, static_cast<int32_t>(64 * 3 * -2 * count));
    iterations -= count;
  }
  _tile_release();
  return right;
}

}  // namespace

bool EnableAmx() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, Linux 5.16
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

std::span<const ComputeKernel> AmxComputes() {
  static const std::array<ComputeKernel, 2> kTable = {
      {{Operation::kBf16, "AMX tiles, bf16", {"amx_tile", "amx_bf16"}, 2.0 * 16 * 16 * 32 * kSums, Bf16Tiles},
       {Operation::kInt8, "AMX tiles, int8", {"amx_tile", "amx_int8"}, 2.0 * 16 * 16 * 64 * kSums, Int8Tiles}}};
  return kTable;
}

}  // namespace moecap::hardware::kernels

#endif  // __x86_64__
