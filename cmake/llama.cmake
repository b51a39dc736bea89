# The embedded engine. Defines the target llama::llama unless MOECAP_LLAMA=off.
#   prebuilt  libraries and headers unpacked by tools/fetch_engine (the default; nothing is compiled)
#   source    builds the same release from its source (tools/fetch_engine --source first); preset release-cuda: for NVIDIA GPUs
#   system    find_package(llama) of an installed build of the same release
set(MOECAP_ENGINE_DIR "" CACHE PATH "Folder written by tools/fetch_engine")
if(NOT MOECAP_ENGINE_DIR AND MOECAP_LLAMA MATCHES "^(prebuilt|source)$")
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/tools/fetch_engine --print-dir OUTPUT_VARIABLE engine_dir
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(MOECAP_ENGINE_DIR ${engine_dir} CACHE PATH "Folder written by tools/fetch_engine" FORCE)
endif()

if(MOECAP_LLAMA STREQUAL "prebuilt")
  set(lib ${MOECAP_ENGINE_DIR}/lib)
  if(NOT EXISTS ${lib}/libllama.v0.5.0.so)
    message(FATAL_ERROR "The engine is not in ${MOECAP_ENGINE_DIR}. Run tools/fetch_engine first, or configure with -DMOECAP_LLAMA=off.")
  endif()
  foreach(name ggml-base ggml llama)
    add_library(llama::${name} SHARED IMPORTED)
  endforeach()
  set_target_properties(llama::ggml-base PROPERTIES IMPORTED_LOCATION ${lib}/libggml-base.so)
  set_target_properties(llama::ggml PROPERTIES IMPORTED_LOCATION ${lib}/libggml.v0.5.0.so)
  set_target_properties(llama::llama PROPERTIES IMPORTED_LOCATION ${lib}/libllama.v0.5.0.so
    INTERFACE_INCLUDE_DIRECTORIES ${MOECAP_ENGINE_DIR}/include
    INTERFACE_LINK_LIBRARIES "llama::ggml;llama::ggml-base")
  set(MOECAP_ENGINE_BACKEND_DIR ${lib})
  # What is installed beside the program: the libraries, and every variant of the CPU's backend.
  set(MOECAP_ENGINE_ARTIFACTS llama::llama llama::ggml llama::ggml-base)
  file(GLOB backends ${lib}/libggml-cpu-*.so)
  foreach(backend ${backends})
    cmake_path(GET backend STEM name)
    add_library(llama::${name} MODULE IMPORTED)
    set_target_properties(llama::${name} PROPERTIES IMPORTED_LOCATION ${backend})
    list(APPEND MOECAP_ENGINE_ARTIFACTS llama::${name})
  endforeach()
elseif(MOECAP_LLAMA STREQUAL "source")
  if(NOT EXISTS ${MOECAP_ENGINE_DIR}/source/CMakeLists.txt)
    message(FATAL_ERROR "The engine's source is not in ${MOECAP_ENGINE_DIR}. Run tools/fetch_engine --source first.")
  endif()
  set(LLAMA_BUILD_COMMON OFF CACHE BOOL "")
  set(BUILD_SHARED_LIBS ON)
  # Backends as modules, like the prebuilt ones: a program that is linked to a GPU's driver does not start where there is none.
  set(GGML_BACKEND_DL ON CACHE BOOL "")
  add_subdirectory(${MOECAP_ENGINE_DIR}/source ${CMAKE_BINARY_DIR}/llama EXCLUDE_FROM_ALL SYSTEM)
  add_library(llama::llama ALIAS llama)
  set(MOECAP_ENGINE_BACKEND_DIR ${CMAKE_BINARY_DIR}/bin)  # the engine's own choice
elseif(MOECAP_LLAMA STREQUAL "system")
  find_package(llama REQUIRED)
  add_library(llama::llama ALIAS llama)
  set(MOECAP_ENGINE_BACKEND_DIR "")
elseif(NOT MOECAP_LLAMA STREQUAL "off")
  message(FATAL_ERROR "MOECAP_LLAMA=${MOECAP_LLAMA}: choose prebuilt, source, system or off.")
endif()
