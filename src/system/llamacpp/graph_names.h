// The names that the engine gives the nodes of its graphs.
#pragma once

#include <string_view>

namespace moecap::llamacpp {

// The layer in "PREFIX3", with a prefix such as "ffn_moe_topk-"; -1 for every other name.
int LayerInName(std::string_view name, std::string_view prefix);

}  // namespace moecap::llamacpp
