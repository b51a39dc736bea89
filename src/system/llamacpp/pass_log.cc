#include "system/llamacpp/pass_log.h"

#include <algorithm>

namespace moecap::llamacpp {

ReplayedLog RoutingOf(const PassLog& log) {
  ReplayedLog routing;
  for (const LoggedPass& pass : log) {
    routing.passes.push_back({pass.expert_counts});
    routing.choices += std::ranges::count_if(pass.tokens, &BatchToken::output);
  }
  return routing;
}

}  // namespace moecap::llamacpp
