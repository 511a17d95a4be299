#!/bin/bash
# Builds the example plugin outside the tree from auth/plugin.h alone, as C99 and the header also as C++, and looks at
# what it exports. How the broker gets on with it is in tests/unit/auth/plugin_test.cpp.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/include/auth"
cp "$root/auth/plugin.h" "$folder/include/auth/"
cp -r "$root/deploy/examples/plugin" "$folder/plugin"
make -s -C "$folder/plugin" TRUNKLINE="$folder/include"
exported=$(nm -D --defined-only "$folder/plugin/maintenance_window.so" | awk '$2 == "T" {print $3}')
[ "$exported" = trunkline_plugin ] || { echo "exports: $exported"; exit 1; }
for standard in c99 c11; do
    printf '#include "auth/plugin.h"\nint unused;\n' |
        cc -std=$standard -pedantic -Wall -Wextra -Werror -I"$folder/include" -x c -fsyntax-only -
done
for standard in c++11 c++20; do
    printf '#include "auth/plugin.h"\n' |
        c++ -std=$standard -pedantic -Wall -Wextra -Werror -I"$folder/include" -x c++ -fsyntax-only -
done
echo "the example plugin builds from auth/plugin.h alone and exports one function"
