# The Debian packages moecap and moecap-dev: tools/package makes them, tools/test_package tries them.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME moecap)
set(CPACK_PACKAGE_VENDOR moecap)
set(CPACK_PACKAGE_CONTACT "moecap maintainers <maintainers@moecap.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME moecap)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${MOECAP_ENGINE_DIR}/lib)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS "ca-certificates, python3")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "measure cost, accuracy and performance of serving MoE models
moecap benchmarks systems that serve sparse mixture-of-experts language
models: an embedded engine or any server over HTTP. Each figure is computed
from recorded facts: utilisation counts the experts that a batch activates,
cost is that of the machine, accuracy is scored by the rules of published
references. It also plans hardware for a load and simulates a server.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME moecap-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "moecap (= ${PROJECT_VERSION}-1), libboost1.81-dev, libfmt-dev, libpcre2-dev,\
 libsimdjson-dev, libsqlite3-dev, libssl-dev, libxxhash-dev, libyaml-cpp-dev, libzstd-dev, nlohmann-json3-dev, pkg-config, zlib1g-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "libraries of moecap, for programs of one's own
Static libraries, headers and the CMake package of moecap: models and their
bytes and FLOPs, device catalogue, metrics, planner, load generator, reports.")

# What Debian wants beside a program: copyright, and the changelogs of package and program.
set(debian ${CMAKE_BINARY_DIR}/debian)
add_custom_command(OUTPUT ${debian}/changelog.gz ${debian}/changelog.Debian.gz
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${debian}/changelog.gz
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/packaging/debian/changelog > ${debian}/changelog.Debian.gz
  DEPENDS CHANGELOG.md packaging/debian/changelog)
file(MAKE_DIRECTORY ${debian})
add_custom_target(debian_files ALL DEPENDS ${debian}/changelog.gz ${debian}/changelog.Debian.gz)
add_dependencies(installed debian_files)
foreach(package "moecap runtime" "moecap-dev development")
  string(REPLACE " " ";" package ${package})
  list(GET package 0 name)
  list(GET package 1 component)
  install(FILES ${debian}/changelog.gz ${debian}/changelog.Debian.gz packaging/debian/copyright DESTINATION share/doc/${name}
          COMPONENT ${component})
  install(FILES packaging/debian/${name}.lintian-overrides DESTINATION share/lintian/overrides RENAME ${name} COMPONENT ${component})
endforeach()
include(CPack)
