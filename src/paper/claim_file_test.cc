#include <gtest/gtest.h>

#include "paper/figure.h"

namespace moecap::paper {
namespace {

TEST(P2, Placeholder) { SUCCEED(); }

}  // namespace
}  // namespace moecap::paper
