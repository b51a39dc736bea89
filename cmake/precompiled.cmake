# What most sources include, compiled once for each set of compiler flags: a third of the time of a small source was spent reading it.
# -DMOECAP_PCH=OFF builds without, which shows sources that include too little.
option(MOECAP_PCH "Precompile the headers of the standard library, {fmt} and GoogleTest" ON)

set(moecap_common_headers <algorithm> <array> <charconv> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional> <set>
    <span> <string> <string_view> <utility> <variant> <vector> <fmt/format.h>)

# With it ccache sees through gcc's precompiled headers; clang knows no such option.
set(moecap_pch_options $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)

# Release builds optimise what runs often (HOT, -O2) and compile the rest, which runs once a command, at -O1. There gcc 12 sees writes
# past the end in std::string's own moves.
set(moecap_hot_options $<$<CONFIG:Release>:-O2>)
set(moecap_cold_options "$<$<CONFIG:Release>:-O1;-Wno-array-bounds;-Wno-stringop-overflow>")
# Under a sanitizer tests compile in a third less time without; what they test keeps its own.
set(moecap_test_options ${moecap_cold_options})
if(MOECAP_SANITIZE)
  list(APPEND moecap_test_options -O0)
endif()

# moecap_precompiled(KIND HEADERS header... [LIBS library...] OPTIONS option...): the headers as every target of that kind reads them.
function(moecap_precompiled kind)
  cmake_parse_arguments(P "" "" "HEADERS;LIBS;OPTIONS" ${ARGN})
  if(NOT MOECAP_PCH)
    return()
  endif()
  set(target moecap_precompiled_${kind})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc CONTENT "// Nothing but its precompiled headers.\n")
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
  target_link_libraries(${target} PRIVATE fmt::fmt ${P_LIBS})
  moecap_options(${target})
  target_compile_options(${target} PRIVATE ${P_OPTIONS} ${moecap_pch_options})
  target_precompile_headers(${target} PRIVATE ${P_HEADERS})
endfunction()

# moecap_use_precompiled(TARGET KIND): the compiler refuses the headers when the flags of the two differ.
function(moecap_use_precompiled target kind)
  if(MOECAP_PCH)
    target_link_libraries(${target} PRIVATE fmt::fmt)
    target_compile_options(${target} PRIVATE ${moecap_pch_options})
    target_precompile_headers(${target} REUSE_FROM moecap_precompiled_${kind})
  endif()
endfunction()

moecap_precompiled(hot HEADERS ${moecap_common_headers} OPTIONS ${moecap_hot_options})
moecap_precompiled(cold HEADERS ${moecap_common_headers} OPTIONS ${moecap_cold_options})
moecap_precompiled(app HEADERS ${moecap_common_headers} <nlohmann/json.hpp> <CLI/CLI.hpp> LIBS CLI11::CLI11 nlohmann_json::nlohmann_json
                   OPTIONS ${moecap_cold_options})
if(BUILD_TESTING)
  moecap_precompiled(test HEADERS ${moecap_common_headers} <gmock/gmock.h> <gtest/gtest.h> LIBS GTest::gmock OPTIONS ${moecap_test_options})
endif()
