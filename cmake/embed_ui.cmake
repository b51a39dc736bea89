# cmake -D ESBUILD=... -D UI=... -D IN=... -D OUT=... -P embed_ui.cmake: see cmake/ui.cmake. Without ESBUILD the style sheet is taken as it
# is, and there is no script.
get_filename_component(folder ${OUT} DIRECTORY)
set(MOECAP_SCRIPT "")
if(ESBUILD)
  execute_process(COMMAND ${ESBUILD} ${UI}/main.ts ${UI}/style.css --bundle --minify --target=es2022 --outdir=${folder}/ui --log-level=warning
                  COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${folder}/ui/main.js MOECAP_SCRIPT)
  file(READ ${folder}/ui/style.css MOECAP_STYLE)
else()
  file(READ ${UI}/style.css MOECAP_STYLE)
endif()
configure_file(${IN} ${OUT} @ONLY)
