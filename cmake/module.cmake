# moecap_options(TARGET): our warnings and sanitizers, for our own code only.
function(moecap_options target)
  # -Wno-restrict -Wno-missing-field-initializers: gcc 12 reports false overlaps in std::string (gcc bug 105651).
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wno-restrict -Wno-missing-field-initializers
                                           $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>
                                           $<$<BOOL:${MOECAP_WERROR}>:-Werror>)
  if(MOECAP_SANITIZE)
    # gcc 12 warns of uninitialised members inside libstdc++ when it instruments them (gcc bug 105562).
    target_compile_options(${target} PRIVATE -fsanitize=${MOECAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
                                             -Wno-maybe-uninitialized)
    target_link_options(${target} PUBLIC -fsanitize=${MOECAP_SANITIZE})
  endif()
  if(MOECAP_FUZZ STREQUAL "libfuzzer")
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# moecap_module(NAME [HOT] SOURCES ... [DEPS module...] [LIBS library...] [PUBLIC_LIBS library...] [TESTS file...] [TEST_DEPS module...])
# One folder of src/ = one static library moecap_NAME. DEPS are moecap modules and must equal the folder's row in
# ARCHITECTURE.md (tools/check_layers verifies it). LIBS are third-party libraries, private to the folder. HOT: its speed is felt or
# measured, so a release build optimises it. PRECOMPILED names another set of headers than hot or cold (cmake/precompiled.cmake).
# ALONE: sources that are compiled alone even where several go into one (MOECAP_UNITY), since each has its own meaning for the same names.
function(moecap_module name)
  cmake_parse_arguments(M "HOT" "PRECOMPILED" "SOURCES;ALONE;DEPS;LIBS;PUBLIC_LIBS;TESTS;TEST_DEPS" ${ARGN})
  set(target moecap_${name})
  add_library(${target} STATIC ${M_SOURCES} ${M_ALONE})
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MOECAP_UNITY} UNITY_BUILD_BATCH_SIZE 6)
  set_source_files_properties(${M_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<INSTALL_INTERFACE:include/moecap>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY MOECAP_MODULES ${name})
  list(TRANSFORM M_DEPS PREPEND moecap_)
  target_link_libraries(${target} PUBLIC ${M_DEPS} ${M_PUBLIC_LIBS} PRIVATE ${M_LIBS})
  moecap_options(${target})
  if(M_HOT)
    target_compile_options(${target} PRIVATE ${moecap_hot_options})
    set(M_PRECOMPILED hot)
  else()
    target_compile_options(${target} PRIVATE ${moecap_cold_options})
  endif()
  if(NOT M_PRECOMPILED)
    set(M_PRECOMPILED cold)
  endif()
  moecap_use_precompiled(${target} ${M_PRECOMPILED})
  if(BUILD_TESTING AND M_TESTS)
    moecap_test(${name}_test SOURCES ${M_TESTS} DEPS ${name} ${M_TEST_DEPS})
  endif()
endfunction()

# moecap_test(NAME SOURCES ... DEPS module... [LIBS library...]): one gtest program, one ctest entry. Sources of one test are compiled together, too.
function(moecap_test name)
  cmake_parse_arguments(T "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  list(TRANSFORM T_DEPS PREPEND moecap_)
  target_link_libraries(${name} PRIVATE ${T_DEPS} ${T_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE MOECAP_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests
                                           UNITY_BUILD ${MOECAP_UNITY} UNITY_BUILD_BATCH_SIZE 5)
  moecap_options(${name})
  # Optimised more, the tests would take longer to compile than to run, and gcc 12 warns of strings it believes uninitialised.
  target_compile_options(${name} PRIVATE ${moecap_test_options})
  moecap_use_precompiled(${name} test)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
