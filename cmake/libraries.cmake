# Libraries from the distribution (Debian 12). Each folder links only what it may see.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

# trunkline_system_library(NAME HEADER LIBRARY): a library whose package brings no usable CMake file.
function(trunkline_system_library name header library)
  find_path(${name}_INCLUDE ${header} REQUIRED)
  add_library(${name} INTERFACE)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE})
  if(library)
    find_library(${name}_LIBRARY NAMES ${library} REQUIRED)
    target_link_libraries(${name} INTERFACE ${${name}_LIBRARY})
  endif()
endfunction()

trunkline_system_library(rocksdb_shared rocksdb/db.h librocksdb.so)
trunkline_system_library(prometheus_core prometheus/registry.h libprometheus-cpp-core.so)
trunkline_system_library(xxhash xxhash.h "")
target_compile_definitions(xxhash INTERFACE XXH_INLINE_ALL)
