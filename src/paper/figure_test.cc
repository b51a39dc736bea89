#include "paper/figure.h"

#include <gtest/gtest.h>

namespace moecap::paper {
namespace {

TEST(Placeholder, Placeholder) { SUCCEED(); }

}  // namespace
}  // namespace moecap::paper
