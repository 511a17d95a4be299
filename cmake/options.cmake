# Compiler options shared by every target of the project.
add_library(trunkline_options INTERFACE)
target_compile_options(trunkline_options INTERFACE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor
                       $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>)
target_include_directories(trunkline_options INTERFACE ${CMAKE_SOURCE_DIR})

if(TRUNKLINE_SANITIZE)
  add_compile_options(-fsanitize=${TRUNKLINE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TRUNKLINE_SANITIZE})
  find_program(LLD ld.lld)   # a quarter of what GNU ld takes for these large programs
  if(LLD)
    add_link_options(-fuse-ld=lld)
  endif()
  # what clang 14 writes before each function for this check of indirect calls it can't assemble for coroutines
  add_compile_options($<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>)
endif()

# trunkline_cheap_to_build(): what the folder holds is instrumented but not optimised in a sanitizer's build, where
# optimising tests and what is made of large templates would cost more than it saves.
macro(trunkline_cheap_to_build)
  if(TRUNKLINE_SANITIZE)
    add_compile_options(-O0)
  endif()
endmacro()

# Several files are compiled as one where that can't change what is measured: tests, the rim, what starts and ends with
# a connection or a model, and all of a sanitizer's build. Most of what a small file costs are headers and templates
# that its neighbours have, too. Switched off, each file is compiled alone.
option(TRUNKLINE_UNITY "Compile tests, the rim and sanitized code in batches of files" ON)
set(files_of_a_batch 16)   # larger ones would leave one of two processors idle in the end
if(TRUNKLINE_SANITIZE AND TRUNKLINE_UNITY)
  set(files_of_a_batch 24)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE ${files_of_a_batch})
endif()

# trunkline_unity(TARGET [REGEX]): its files in batches; in a build without sanitizers those alone whose path below its
# folder matches, for messages pass through them.
function(trunkline_unity target)
  if(NOT TRUNKLINE_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files_of_a_batch})
  # a class of one file with members of types of that file, which gcc takes for a header's in a batch
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  if(ARGC GREATER 1 AND NOT TRUNKLINE_SANITIZE)
    get_target_property(alone ${target} SOURCES)
    list(FILTER alone INCLUDE REGEX "${CMAKE_CURRENT_SOURCE_DIR}/(${ARGV1})\\.cpp$")
    set_source_files_properties(${alone} TARGET_DIRECTORY ${target} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# trunkline_rim(TARGET): what no message passes through, made of large templates (HTTP, JSON, command lines): optimised
# less, for that is what building takes its time for, and not at all in a sanitizer's build. There it goes without the
# checks that take longest to compile, too: what they look for in Beast and the JSON library ends under
# AddressSanitizer anyway, or is no fault on this architecture.
function(trunkline_rim target)
  trunkline_unity(${target})
  if(TRUNKLINE_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
    if(TRUNKLINE_SANITIZE MATCHES undefined)
      target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment,vptr,object-size)
    endif()
  else()
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
endfunction()

# trunkline_unit_tests(NAME SOURCE...): a Catch2 binary, not optimised, for its compilation is what takes time.
function(trunkline_unit_tests name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE Catch2::Catch2WithMain)
  target_compile_definitions(${name} PRIVATE TRUNKLINE_SOURCE="${CMAKE_SOURCE_DIR}")
  trunkline_unity(${name})
  if(NOT TRUNKLINE_SANITIZE)
    target_compile_options(${name} PRIVATE -O0 -g0)
  endif()
endfunction()
if(TRUNKLINE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# trunkline_library(NAME): a static library from every .cpp of the folder (not of its sub-folders).
function(trunkline_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC trunkline_options ${ARGN})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE trunkline_options ${ARGN})
  endif()
endfunction()
