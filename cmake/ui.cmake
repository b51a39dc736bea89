# The script of the pages: bundled from ui/ by esbuild (tools/fetch_esbuild), or left out, and then the pages do without it.
set(MOECAP_UI "bundled" CACHE STRING "Script of the pages of moecap serve: bundled or off")
set_property(CACHE MOECAP_UI PROPERTY STRINGS bundled off)
if(MOECAP_UI STREQUAL "bundled")
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/tools/fetch_esbuild --print-dir OUTPUT_VARIABLE esbuild_dir
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT EXISTS ${esbuild_dir}/esbuild)
    message(FATAL_ERROR "esbuild is not in ${esbuild_dir}. Run tools/fetch_esbuild first, or configure with -DMOECAP_UI=off.")
  endif()
  set(MOECAP_ESBUILD ${esbuild_dir}/esbuild)
elseif(MOECAP_UI STREQUAL "off")
  set(MOECAP_ESBUILD "")
else()
  message(FATAL_ERROR "MOECAP_UI=${MOECAP_UI}: choose bundled or off.")
endif()

# moecap_ui_assets(SOURCE IN): writes the C++ source SOURCE out of IN, with the style sheet and the script in it.
function(moecap_ui_assets source in)
  file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ui/*.ts ${PROJECT_SOURCE_DIR}/ui/*.css)
  set(script ${PROJECT_SOURCE_DIR}/cmake/embed_ui.cmake)
  add_custom_command(OUTPUT ${source} DEPENDS ${parts} ${script} ${in}
    COMMAND ${CMAKE_COMMAND} -D ESBUILD=${MOECAP_ESBUILD} -D UI=${PROJECT_SOURCE_DIR}/ui -D IN=${in} -D OUT=${source} -P ${script}
    COMMENT "Bundling ui/" VERBATIM)
endfunction()
