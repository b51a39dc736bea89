#include <gtest/gtest.h>

#include "paper/figure.h"

namespace moecap::paper {
namespace {

TEST(P3, Placeholder) { SUCCEED(); }

}  // namespace
}  // namespace moecap::paper
