# What `cmake --install` writes, all of it relative to the prefix, in two components:
#   runtime      bin/moecap, its engine in lib/moecap/engine, what it finds beside itself in share/moecap, manual, completions, documents
#   development  headers, static libraries and the CMake package: find_package(moecap), targets moecap::planner and so on
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(engine_dir lib/moecap/engine)
set(data_dir share/moecap)
set(package_dir lib/cmake/moecap)

set_target_properties(moecap PROPERTIES INSTALL_RPATH "$ORIGIN/../${engine_dir}")
install(TARGETS moecap RUNTIME DESTINATION bin COMPONENT runtime)
if(MOECAP_ENGINE_ARTIFACTS)
  install(IMPORTED_RUNTIME_ARTIFACTS ${MOECAP_ENGINE_ARTIFACTS} LIBRARY DESTINATION ${engine_dir} COMPONENT runtime)
  # CMake strips what it has built, and the engine it has not.
  install(CODE "if(CMAKE_INSTALL_DO_STRIP)
  file(GLOB libraries \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${engine_dir}/*.so)
  execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded \${libraries} COMMAND_ERROR_IS_FATAL ANY)
endif()" COMPONENT runtime)
endif()

if(MOECAP_LLAMA STREQUAL "source")
  foreach(library llama ggml ggml-base ${GGML_AVAILABLE_BACKENDS})
    if(TARGET ${library})  # the list keeps backends that were switched off
      set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN" PUBLIC_HEADER "")
      install(TARGETS ${library} LIBRARY DESTINATION ${engine_dir} COMPONENT runtime NAMELINK_SKIP)
    endif()
  endforeach()
endif()

# As in the source tree, so that paths in examples hold.
install(FILES models/tiny-moe/tiny-moe-f16.gguf models/tiny-moe/README.md DESTINATION ${data_dir}/models/tiny-moe COMPONENT runtime)
install(DIRECTORY datasets/tinymath DESTINATION ${data_dir}/datasets COMPONENT runtime
        FILES_MATCHING PATTERN *.jsonl PATTERN README.md)
install(DIRECTORY examples DESTINATION ${data_dir} COMPONENT runtime PATTERN library EXCLUDE)
install(DIRECTORY docs DESTINATION share/doc/moecap COMPONENT runtime FILES_MATCHING PATTERN *.md PATTERN *.json)
install(FILES README.md DESTINATION share/doc/moecap COMPONENT runtime)

# Made by the program itself; gzip as Debian wants man pages.
set(generated ${CMAKE_BINARY_DIR}/generated)
add_custom_command(OUTPUT ${generated}/done
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${generated}
  COMMAND moecap generate ${generated}
  COMMAND gzip -9n -r ${generated}/share/man
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}/done
  DEPENDS moecap)
add_custom_target(manual ALL DEPENDS ${generated}/done)
install(DIRECTORY ${generated}/share/ DESTINATION share COMPONENT runtime)

# The library. `app` is the command line itself.
get_property(modules GLOBAL PROPERTY MOECAP_MODULES)
list(REMOVE_ITEM modules app)
if(NOT MOECAP_ENGINE_ARTIFACTS)
  list(REMOVE_ITEM modules llamacpp)  # its engine is another project's target, or not there
endif()
list(TRANSFORM modules PREPEND moecap_ OUTPUT_VARIABLE module_targets)
install(TARGETS ${module_targets} EXPORT moecap ARCHIVE DESTINATION lib COMPONENT development)
install(DIRECTORY src/ DESTINATION include/moecap COMPONENT development
        FILES_MATCHING PATTERN *.h PATTERN *.inc PATTERN app EXCLUDE PATTERN testing EXCLUDE PATTERN *_test_*.h EXCLUDE PATTERN *_for_test.h EXCLUDE)
install(EXPORT moecap NAMESPACE moecap:: FILE moecap-targets.cmake DESTINATION ${package_dir} COMPONENT development)
configure_package_config_file(cmake/moecap-config.cmake.in ${CMAKE_BINARY_DIR}/moecap-config.cmake INSTALL_DESTINATION ${package_dir}
                              PATH_VARS engine_dir)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/moecap-config-version.cmake COMPATIBILITY ExactVersion)
install(FILES ${CMAKE_BINARY_DIR}/moecap-config.cmake ${CMAKE_BINARY_DIR}/moecap-config-version.cmake DESTINATION ${package_dir}
        COMPONENT development)
install(DIRECTORY examples/library DESTINATION share/doc/moecap-dev/examples COMPONENT development)

# Everything of these two components that is built: a manual of another program would be installed without a word.
add_custom_target(installed)
add_dependencies(installed moecap manual ${module_targets})
if(MOECAP_ENGINE_ARTIFACTS)
  install(DIRECTORY ${MOECAP_ENGINE_DIR}/include/ DESTINATION include/moecap/engine COMPONENT development)
endif()
