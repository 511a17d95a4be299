# The Debian package, by CPack; deploy/deb/build makes it. Manual pages and completions come from the programs' --help
# and lie in TRUNKLINE_PAGES, where deploy/deb/build has put them.
set(TRUNKLINE_PAGES "${CMAKE_BINARY_DIR}/pages" CACHE PATH "Manual pages and completions")
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)   # what is packaged is built before; tests are not needed
set(CMAKE_INSTALL_PREFIX /usr)
set(deploy ${CMAKE_SOURCE_DIR}/deploy)

install(TARGETS trunkline trunkctl trunkbench trunkaudit DESTINATION /usr/bin)
install(FILES ${deploy}/deb/trunkline.service DESTINATION /lib/systemd/system)
install(FILES ${deploy}/deb/trunkline.yaml DESTINATION /etc/trunkline PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
install(FILES ${deploy}/trunkline.schema.json ${deploy}/trunkline-model.schema.json DESTINATION /usr/share/trunkline)
install(FILES ${deploy}/deb/copyright DESTINATION /usr/share/doc/trunkline)
install(FILES ${TRUNKLINE_PAGES}/changelog.gz DESTINATION /usr/share/doc/trunkline)
install(FILES ${deploy}/trunkline.yaml DESTINATION /usr/share/doc/trunkline/examples)
install(DIRECTORY ${deploy}/examples/ DESTINATION /usr/share/doc/trunkline/examples/models FILES_MATCHING PATTERN *.yaml
        PATTERN plugin EXCLUDE)
install(DIRECTORY ${deploy}/prometheus ${deploy}/grafana DESTINATION /usr/share/doc/trunkline/examples
        PATTERN make EXCLUDE PATTERN alerts_test.yml EXCLUDE)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION /usr/share/doc/trunkline
        PATTERN make EXCLUDE PATTERN __pycache__ EXCLUDE)
install(FILES ${TRUNKLINE_PAGES}/trunkline.8.gz DESTINATION /usr/share/man/man8)
install(FILES ${TRUNKLINE_PAGES}/trunkctl.1.gz ${TRUNKLINE_PAGES}/trunkbench.1.gz ${TRUNKLINE_PAGES}/trunkaudit.1.gz
        DESTINATION /usr/share/man/man1)
install(FILES ${TRUNKLINE_PAGES}/trunkctl.bash DESTINATION /usr/share/bash-completion/completions RENAME trunkctl)
install(FILES ${TRUNKLINE_PAGES}/trunkctl.zsh DESTINATION /usr/share/zsh/vendor-completions RENAME _trunkctl)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME trunkline)
set(CPACK_PACKAGE_VENDOR Trunkline)
set(CPACK_PACKAGE_CONTACT "The Trunkline authors <maintainers@trunkline.invalid>")
set(CPACK_PACKAGE_VERSION "${TRUNKLINE_PACKAGE_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Unified Namespace MQTT broker")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Trunkline is the one process at the centre of a site: MQTT 5 and 3.1.1, a model
of what may be published where and by whom, acknowledgements that mean on disk,
metrics for Prometheus, an audit trail, and trunkctl to see and change it all.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)   # absolute destinations outside /usr
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${CPACK_PACKAGE_CONTACT}")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mosquitto-clients, prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE ${CMAKE_BINARY_DIR}/deb/conffiles "/etc/trunkline/trunkline.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${deploy}/deb/postinst ${deploy}/deb/prerm ${deploy}/deb/postrm
    ${CMAKE_BINARY_DIR}/deb/conffiles)
include(CPack)
