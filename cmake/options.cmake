# Compiler options shared by every target of the project.
add_library(trunkline_options INTERFACE)
target_compile_options(trunkline_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow=local -Wnon-virtual-dtor)
target_include_directories(trunkline_options INTERFACE ${CMAKE_SOURCE_DIR})

if(TRUNKLINE_SANITIZE)
  add_compile_options(-fsanitize=${TRUNKLINE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TRUNKLINE_SANITIZE})
endif()
if(TRUNKLINE_SANITIZE STREQUAL "thread")
  add_compile_options(-Wno-tsan)  # fences within Asio, which nothing of ours relies on
endif()
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
