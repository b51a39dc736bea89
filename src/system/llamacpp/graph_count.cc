#include "system/llamacpp/graph_count.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace moecap::llamacpp {
namespace {

// The tensor whose memory `tensor` is a view of.
const ggml_tensor* Root(const ggml_tensor* tensor) {
  while (tensor->view_src != nullptr) tensor = tensor->view_src;
  return tensor;
}

bool IsWeight(const ggml_tensor* tensor) {
  const ggml_tensor* root = Root(tensor);
  return root->buffer != nullptr && ggml_backend_buffer_get_usage(root->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
}

// The engine names its caches: cache_k_l3, cache_v_l3.
bool IsCache(const ggml_tensor* tensor) {
  const std::string_view name = ggml_get_name(Root(tensor));
  return name.starts_with("cache_k_l") || name.starts_with("cache_v_l");
}

bool IsView(ggml_op op) {
  return op == GGML_OP_NONE || op == GGML_OP_VIEW || op == GGML_OP_RESHAPE || op == GGML_OP_PERMUTE || op == GGML_OP_TRANSPOSE;
}

// Operations with multiply-adds inside whose amount depends on more than shapes.
bool HidesProducts(ggml_op op) {
  const std::string_view name = ggml_op_name(op);
  constexpr std::array kPrefixes = {"SSM_", "RWKV_", "GATED_", "CONV_", "IM2COL", "OUT_PROD", "FLASH_ATTN_BACK", "SOLVE_"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

std::string OpName(const ggml_tensor* node) {
  if (node->op == GGML_OP_UNARY) return ggml_unary_op_name(ggml_get_unary_op(node));
  if (node->op == GGML_OP_GLU) return ggml_glu_op_name(ggml_get_glu_op(node));
  return ggml_op_name(node->op);
}

double Elements(const ggml_tensor* tensor) { return static_cast<double>(ggml_nelements(tensor)); }

double RowBytes(const ggml_tensor* tensor) { return static_cast<double>(ggml_row_size(tensor->type, tensor->ne[0])); }

bool IsValueProduct(const ggml_tensor* node) { return node->op == GGML_OP_MUL_MAT && node->src[1]->op == GGML_OP_SOFT_MAX; }

// Masks hold 0 (or a finite bias) where a query sees a cell.
bool IsVisible(const char* element, ggml_type type) {
  if (type == GGML_TYPE_F16) {
    ggml_fp16_t half = 0;
    std::memcpy(&half, element, sizeof half);
    return std::isfinite(ggml_fp16_to_fp32(half));
  }
  float value = 0;
  std::memcpy(&value, element, sizeof value);
  return std::isfinite(value);
}

}  // namespace

bool GraphCounter::Callback(ggml_tensor* tensor, bool ask, void* counter) {
  auto* self = static_cast<GraphCounter*>(counter);
  if (ask) return self->Visit(tensor);
  self->VisitComputed(tensor);
  return true;
}

GraphCount GraphCounter::Take() {
  written_cells_.clear();
  pending_scores_ = key_cache_ = nullptr;
  return std::exchange(count_, {});
}

bool GraphCounter::Visit(const ggml_tensor* node) {
  if (IsView(node->op)) return false;
  ++count_.nodes;
  switch (node->op) {
    case GGML_OP_MUL_MAT:
      CountOperands(node);
      CountProduct(node);
      return false;
    case GGML_OP_MUL_MAT_ID:
      count_.product_flops += 2.0 * static_cast<double>(node->src[0]->ne[0]) * Elements(node);
      return true;  // the ids say how much was read
    case GGML_OP_FLASH_ATTN_EXT:
      return true;
    default:
      break;
  }
  GraphCount::Others& others = count_.other_ops[OpName(node)];
  ++others.nodes;
  others.elements += ggml_nelements(node->op == GGML_OP_SET_ROWS ? node->src[0] : node);
  if (HidesProducts(node->op)) count_.products_not_counted.insert(ggml_op_name(node->op));
  const bool masked_softmax = node->op == GGML_OP_SOFT_MAX && node->src[1] != nullptr;
  if (masked_softmax || node->op == GGML_OP_ADD_ID || node->op == GGML_OP_SET_ROWS) return true;
  CountOperands(node);
  return false;
}

void GraphCounter::VisitComputed(const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_MUL_MAT_ID:
      count_.weight_bytes += static_cast<double>(DistinctIds(node->src[2]).size() * node->src[0]->nb[2]);
      break;
    case GGML_OP_ADD_ID:
      count_.weight_bytes += static_cast<double>(DistinctIds(node->src[2]).size() * node->src[1]->nb[1]);
      break;
    case GGML_OP_SET_ROWS:
      CountWritten(node);
      break;
    case GGML_OP_FLASH_ATTN_EXT:
      CountOperands(node);
      CountFlashAttention(node);
      break;
    case GGML_OP_SOFT_MAX:
      CountOperands(node);
      CountSoftMax(node);
      break;
    default:
      break;
  }
}

void GraphCounter::CountOperands(const ggml_tensor* node) {
  for (const ggml_tensor* operand : node->src) {
    if (operand == nullptr || !IsWeight(operand)) continue;
    const bool rows_only = node->op == GGML_OP_GET_ROWS && operand == node->src[0];
    count_.weight_bytes += rows_only ? Elements(node->src[1]) * RowBytes(operand) : static_cast<double>(ggml_nbytes(operand));
  }
}

void GraphCounter::CountProduct(const ggml_tensor* node) {
  if (IsValueProduct(node)) return CountValues(node);
  if (IsCache(node->src[0])) {
    pending_scores_ = node;
    return;
  }
  count_.product_flops += 2.0 * static_cast<double>(node->src[0]->ne[0]) * Elements(node);
}

// Query [d, queries, heads, streams], keys [d, cells, KV heads, streams], values likewise, mask [cells, queries, 1, streams].
void GraphCounter::CountFlashAttention(const ggml_tensor* node) {
  const ggml_tensor* query = node->src[0];
  const ggml_tensor* keys = node->src[1];
  const ggml_tensor* values = node->src[2];
  CHECK(node->src[3] != nullptr);
  visible_ = ReadMask(node->src[3], keys);
  key_cache_ = Root(keys);
  AddCells(keys, static_cast<double>(keys->ne[2]));
  if (Root(values) != key_cache_) AddCells(values, static_cast<double>(values->ne[2]));
  const double flops_per_pair = 2.0 * static_cast<double>(query->ne[2]) * static_cast<double>(keys->ne[0] + values->ne[0]);
  count_.attention_flops += visible_.pairs * flops_per_pair;
  count_.masked_flops += visible_.masked_pairs * flops_per_pair;
}

// The mask of scores computed by a plain product, [cells, queries, heads, streams].
void GraphCounter::CountSoftMax(const ggml_tensor* node) {
  if (pending_scores_ == nullptr) return;
  const ggml_tensor* keys = pending_scores_->src[0];
  visible_ = ReadMask(node->src[1], keys);
  key_cache_ = Root(keys);
  AddCells(keys, static_cast<double>(keys->ne[2]));
  const double flops_per_pair = 2.0 * static_cast<double>(pending_scores_->ne[2]) * static_cast<double>(keys->ne[0]);
  count_.attention_flops += visible_.pairs * flops_per_pair;
  count_.masked_flops += visible_.masked_pairs * flops_per_pair;
  pending_scores_ = nullptr;
}

// Values are stored transposed, [cells, d, KV heads, streams], or were copied so from a cache shared with the keys.
void GraphCounter::CountValues(const ggml_tensor* node) {
  const ggml_tensor* values = node->src[0];
  if (IsCache(values) && Root(values) != key_cache_) {
    const double cell_bytes = static_cast<double>(ggml_row_size(values->type, values->ne[1] * values->ne[2]));
    count_.kv_read_bytes += visible_.read_cells * cell_bytes;
    count_.kv_own_bytes += visible_.own_cells * cell_bytes;
    count_.kv_padding_bytes += visible_.hidden_cells * cell_bytes;
  }
  const double flops_per_pair = 2.0 * static_cast<double>(node->ne[2]) * static_cast<double>(values->ne[1]);
  count_.attention_flops += visible_.pairs * flops_per_pair;
  count_.masked_flops += visible_.masked_pairs * flops_per_pair;
}

void GraphCounter::CountWritten(const ggml_tensor* node) {
  if (!IsCache(node)) return;
  const ggml_tensor* indices = node->src[1];
  CHECK(indices->type == GGML_TYPE_I64);
  count_.kv_written_bytes += Elements(indices) * RowBytes(node);
  const std::vector<char>& bytes = Fetch(indices);
  std::set<int64_t>& cells = written_cells_[Root(node)];
  for (int64_t i = 0; i < ggml_nelements(indices); ++i) {
    int64_t cell = 0;
    std::memcpy(&cell, bytes.data() + static_cast<size_t>(i) * sizeof cell, sizeof cell);
    cells.insert(cell);
  }
}

// A view [d, cells, heads, streams] of a cache.
void GraphCounter::AddCells(const ggml_tensor* cache_view, double heads) {
  const double cell_bytes = RowBytes(cache_view) * heads;
  count_.kv_read_bytes += visible_.read_cells * cell_bytes;
  count_.kv_own_bytes += visible_.own_cells * cell_bytes;
  count_.kv_padding_bytes += visible_.hidden_cells * cell_bytes;
}

GraphCounter::Visible GraphCounter::ReadMask(const ggml_tensor* mask, const ggml_tensor* keys) {
  Visible visible;
  const ggml_tensor* cache = Root(keys);
  const std::set<int64_t>& written = written_cells_[cache];
  // The view begins at a stream's first cell; streams follow each other.
  const auto offset = static_cast<const char*>(keys->data) - static_cast<const char*>(cache->data);
  const int64_t first_cell = offset / static_cast<int64_t>(cache->nb[1]);
  const int64_t stream_cells = cache->ne[1];
  const std::vector<char>& bytes = Fetch(mask);
  const size_t element = ggml_element_size(mask);
  for (int64_t stream = 0; stream < mask->ne[3]; ++stream) {
    for (int64_t cell = 0; cell < mask->ne[0]; ++cell) {
      int64_t queries = 0;
      for (int64_t query = 0; query < mask->ne[1]; ++query) {
        const auto row = static_cast<size_t>(stream * mask->ne[1] + query);
        if (IsVisible(bytes.data() + (row * static_cast<size_t>(mask->ne[0]) + static_cast<size_t>(cell)) * element,
                      mask->type))
          ++queries;
      }
      visible.pairs += static_cast<double>(queries);
      visible.masked_pairs += static_cast<double>(mask->ne[1] - queries);
      const bool own = written.contains(first_cell + stream * stream_cells + cell);
      (queries == 0 ? visible.hidden_cells : own ? visible.own_cells : visible.read_cells) += 1;
    }
  }
  return visible;
}

std::set<int32_t> GraphCounter::DistinctIds(const ggml_tensor* ids) {
  CHECK(ids->type == GGML_TYPE_I32);
  const std::vector<char>& bytes = Fetch(ids);
  std::set<int32_t> distinct;
  for (int64_t row = 0; row < ids->ne[1]; ++row) {
    for (int64_t k = 0; k < ids->ne[0]; ++k) {
      int32_t id = 0;
      std::memcpy(&id, bytes.data() + static_cast<size_t>(row) * ids->nb[1] + static_cast<size_t>(k) * ids->nb[0], sizeof id);
      distinct.insert(id);
    }
  }
  return distinct;
}

const std::vector<char>& GraphCounter::Fetch(const ggml_tensor* tensor) {
  buffer_.resize(ggml_nbytes(tensor));
  ggml_backend_tensor_get(tensor, buffer_.data(), 0, buffer_.size());
  return buffer_;
}

}  // namespace moecap::llamacpp
