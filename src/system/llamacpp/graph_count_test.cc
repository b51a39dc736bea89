// Hand-computed nodes: the counter reads operands, it needs no results.
#include "system/llamacpp/graph_count.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>

#include "system/llamacpp/engine_library.h"

namespace moecap::llamacpp {
namespace {

class GraphCountTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { library_ = EngineLibrary::Load().value().release(); }
  static void TearDownTestSuite() { delete library_; }

  void SetUp() override {
    backend_.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    ASSERT_NE(backend_, nullptr);
    const ggml_init_params params{size_t{1} << 20, nullptr, true};
    weights_.reset(ggml_init(params));
    inputs_.reset(ggml_init(params));
    nodes_.reset(ggml_init(params));
  }

  // Gives the tensors made so far their memory.
  void Allocate() {
    if (ggml_get_first_tensor(weights_.get()) != nullptr) {
      weight_buffer_.reset(ggml_backend_alloc_ctx_tensors(weights_.get(), backend_.get()));
      ggml_backend_buffer_set_usage(weight_buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    input_buffer_.reset(ggml_backend_alloc_ctx_tensors(inputs_.get(), backend_.get()));
  }

  template <typename T>
  static void Set(ggml_tensor* tensor, const std::vector<T>& values) {
    ASSERT_EQ(values.size() * sizeof(T), ggml_nbytes(tensor));
    ggml_backend_tensor_set(tensor, values.data(), 0, values.size() * sizeof(T));
  }

  GraphCount Count(std::initializer_list<ggml_tensor*> nodes) {
    for (ggml_tensor* node : nodes) {
      if (GraphCounter::Callback(node, true, &counter_)) GraphCounter::Callback(node, false, &counter_);
    }
    return counter_.Take();
  }

  static EngineLibrary* library_;
  ggml_backend_ptr backend_;
  ggml_context_ptr weights_, inputs_, nodes_;
  ggml_backend_buffer_ptr weight_buffer_, input_buffer_;
  GraphCounter counter_;
};
EngineLibrary* GraphCountTest::library_ = nullptr;

TEST_F(GraphCountTest, ProductsReadAMatrixOnceAndExpertsByTheirIds) {
  ggml_tensor* matrix = ggml_new_tensor_2d(weights_.get(), GGML_TYPE_F32, 32, 4);
  ggml_tensor* experts = ggml_new_tensor_3d(weights_.get(), GGML_TYPE_F16, 32, 8, 4);
  ggml_tensor* norm = ggml_new_tensor_1d(weights_.get(), GGML_TYPE_F32, 32);
  ggml_tensor* x = ggml_new_tensor_2d(inputs_.get(), GGML_TYPE_F32, 32, 3);
  ggml_tensor* rows = ggml_new_tensor_3d(inputs_.get(), GGML_TYPE_F32, 32, 1, 3);
  ggml_tensor* ids = ggml_new_tensor_2d(inputs_.get(), GGML_TYPE_I32, 2, 3);
  ggml_tensor* tokens = ggml_new_tensor_1d(inputs_.get(), GGML_TYPE_I32, 3);
  Allocate();
  Set<int32_t>(ids, {0, 1, 1, 3, 0, 1});

  const GraphCount product = Count({ggml_mul_mat(nodes_.get(), matrix, x)});
  EXPECT_EQ(product.weight_bytes, 32 * 4 * 4);
  EXPECT_EQ(product.product_flops, 2 * 32 * 4 * 3);
  const GraphCount routed = Count({ggml_mul_mat_id(nodes_.get(), experts, rows, ids)});
  EXPECT_EQ(routed.weight_bytes, 3 * 32 * 8 * 2) << "experts 0, 1 and 3";
  EXPECT_EQ(routed.product_flops, 2 * 32 * 8 * 2 * 3) << "two experts for each of three tokens";
  EXPECT_EQ(Count({ggml_get_rows(nodes_.get(), matrix, tokens)}).weight_bytes, 3 * 32 * 4);
  const GraphCount scaled = Count({ggml_mul(nodes_.get(), x, norm)});
  EXPECT_EQ(scaled.weight_bytes, 32 * 4);
  EXPECT_EQ(scaled.Flops(), 0);
  EXPECT_EQ(scaled.other_ops.at("MUL").elements, 32 * 3);
  EXPECT_EQ(Count({ggml_mul_mat(nodes_.get(), x, x)}).weight_bytes, 0) << "activations are no weights";
}

// Five cells of context, three new tokens at cells 5 to 7 of 16; two KV heads of 8, four query heads.
TEST_F(GraphCountTest, AttentionCountsWhatTheMaskShows) {
  const auto new_cache = [&](const char* name) {
    return ggml_set_name(ggml_new_tensor_3d(inputs_.get(), GGML_TYPE_F16, 16, 16, 1), name);
  };
  ggml_tensor* keys = new_cache("cache_k_l0");
  ggml_tensor* values = new_cache("cache_v_l0");
  ggml_tensor* fresh = ggml_new_tensor_2d(inputs_.get(), GGML_TYPE_F32, 16, 3);
  ggml_tensor* cells = ggml_new_tensor_1d(inputs_.get(), GGML_TYPE_I64, 3);
  ggml_tensor* query = ggml_new_tensor_4d(inputs_.get(), GGML_TYPE_F32, 8, 3, 4, 1);
  ggml_tensor* mask = ggml_new_tensor_4d(inputs_.get(), GGML_TYPE_F16, 16, 3, 1, 1);
  Allocate();
  Set<int64_t>(cells, {5, 6, 7});
  std::vector<ggml_fp16_t> shown;
  for (int row = 0; row < 3; ++row) {
    for (int cell = 0; cell < 16; ++cell) shown.push_back(ggml_fp32_to_fp16(cell <= 5 + row ? 0.0f : -INFINITY));
  }
  Set(mask, shown);

  const auto view = [&](ggml_tensor* cache) {
    ggml_tensor* heads = ggml_view_4d(nodes_.get(), cache, 8, 2, 16, 1, 16, 32, 512, 0);
    return ggml_permute(nodes_.get(), heads, 0, 2, 1, 3);
  };
  const GraphCount count =
      Count({ggml_set_rows(nodes_.get(), keys, fresh, cells), ggml_set_rows(nodes_.get(), values, fresh, cells),
             ggml_flash_attn_ext(nodes_.get(), query, view(keys), view(values), mask, 1, 0, 0)});
  constexpr double kCellBytes = 2 * (16 * 2);  // a key and a value, two heads of 8 halves each
  EXPECT_EQ(count.kv_written_bytes, 3 * kCellBytes);
  EXPECT_EQ(count.kv_read_bytes, 5 * kCellBytes);
  EXPECT_EQ(count.kv_own_bytes, 3 * kCellBytes);
  EXPECT_EQ(count.kv_padding_bytes, 8 * kCellBytes);
  EXPECT_EQ(count.attention_flops, (6 + 7 + 8) * 4 * 2 * (8 + 8));
  EXPECT_EQ(count.masked_flops, (48 - 21) * 4 * 2 * (8 + 8));
  EXPECT_EQ(count.Bytes(), 8 * kCellBytes);
}

}  // namespace
}  // namespace moecap::llamacpp
