#!/usr/bin/env bash
# Installs what the tests need, builds, and runs everything that CI runs. The last line counts the steps.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

usage() {
    cat <<'TEXT'
usage: tests/run.sh [--quick] [--only STEP[,STEP...]] [--list]
                    [--fuzz-seconds N] [--sim-seeds N] [--kill-rounds N]

  --quick            the release build with its unit and end-to-end tests, nothing slow
  --only STEPS       these steps alone, in the order of the list; what they need must have been built
  --list             the steps, and how long each may take at most
  --fuzz-seconds N   for each fuzz target (default 10)
  --sim-seeds N      of the deterministic simulator (default 5000)
  --kill-rounds N    of kill -9 under load (default 20)

Logs stay in build/test-logs, one a step. Exit code 1 when a step failed.
TEXT
}

logs=build/test-logs
export TRUNKLINE_FUZZ_SECONDS=${TRUNKLINE_FUZZ_SECONDS:-10}
export TRUNKLINE_SIM_SEEDS=${TRUNKLINE_SIM_SEEDS:-5000}
export TRUNKLINE_KILL_ROUNDS=${TRUNKLINE_KILL_ROUNDS:-20}

# name, seconds it may take, and whether --quick runs it too.
steps='
packages             1200 quick
build-release        1500 quick
include-directions     60 quick
normative              60 quick
unit                  600 quick
quickstart            120 quick
tour                  300 quick
e2e                   900 quick
access-mosquitto      300
kill9                 600
faults               1200
sim                   900
bench-smoke           120
build-asan           1500
asan-unit             900
asan-e2e              900
fuzz                 3600
build-tsan           1500
tsan-unit             900
tsan-e2e              900
'
asan_targets=(trunkline trunkline_tests trunkline_net_tests trunkline_admin_tests trunkline_fault_tests
              fuzzers fuzz_corpus)
tsan_targets=(trunkline trunkline_tests trunkline_net_tests)
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp

# ---------------------------------------------------------------- the steps

# build PRESET [TARGET...]
build() {
    local preset=$1
    shift
    cmake --preset "$preset" && cmake --build "build/$preset" ${1:+--target "$@"}
}

step_packages() { deploy/install-packages build demo test; }
step_build-release() { build release; }
step_include-directions() { tests/include_directions; }
step_normative() { tests/normative; }
step_unit() { ctest --test-dir build/release --output-on-failure --parallel "$(nproc)"; }
# What README.md and docs show, as printed; what they say of the programs, as it is.
step_tour() { tests/tour; }
step_e2e() {
    tests/e2e/run --broker build/release/bin/trunkline -v ${TRUNKLINE_AHEAD:+--pause-session "$TRUNKLINE_AHEAD"}
}
# The same decisions about Mosquitto's files as Mosquitto; 10,000 requests by hand, see its --help.
step_access-mosquitto() { tests/access/compare_mosquitto --requests 2000; }
step_kill9() { tests/e2e/kill9.py --broker "$(two_workers release)" --rounds "$TRUNKLINE_KILL_ROUNDS"; }

# Power cuts, failpoints, failing and slow syncs, full and damaged disks, through the broker process.
step_faults() { tests/fault/run --bin build/release/bin; }

# A program that starts the broker of a preset with two threads for clients, whatever the number of cores, beside the
# tools as shipped. two_workers PRESET [COMMAND that starts it]
two_workers() {
    local program=$PWD/$logs/$1/trunkline tool
    mkdir -p "$(dirname "$program")"
    printf '#!/bin/sh\nexec %s %s/build/%s/bin/trunkline --workers 2 "$@"\n' "${2:-}" "$PWD" "$1" >"$program"
    chmod +x "$program"
    for tool in trunkctl trunkbench; do ln -sf "$PWD/build/release/bin/$tool" "$(dirname "$program")/$tool"; done
    echo "$program"
}

# The command of README.md, on ports of its own: the plant must be seen, and a second start must find its data again.
step_quickstart() {
    local port admin folder round result=0
    read -r port admin < <(free_ports)
    folder=$(mktemp -d)
    export TRUNKLINE_QUICKSTART_DIR=$folder/run
    for round in first second; do
        deploy/quickstart.sh --detach --port "$port" --admin "127.0.0.1:$admin" --data "$folder/data" || result=1
        echo "the $round start shows:"
        timeout 20 mosquitto_sub -p "$port" -t 'acme/#' -v -C 150 >"$folder/seen" || result=1
        head -n 3 "$folder/seen"
        build/release/bin/trunkctl --server "http://127.0.0.1:$admin" status || result=1
        deploy/quickstart.sh --stop || result=1
    done
    rm -rf "$folder"
    return $result
}

step_sim() {
    local broken
    build/release/bin/trunkline_sim --seeds "$TRUNKLINE_SIM_SEEDS" --jobs "$(nproc)" || return 1
    build/release/bin/trunkline_sim --seed 7 --lines 0 || return 1    # the same story twice
    for broken in ack-before-commit lose-inbound-id forget-cursor skip-requeue keep-subscription stale-retained \
                  swap-submissions ignore-window; do
        echo "a broker with $broken must be found out:"
        ! build/release/bin/trunkline_sim --seeds 300 --world sessions --lines 5 --break "$broken" || return 1
    done
}

# The generator exits with 1 when a message was lost, repeated or overtaken.
step_bench-smoke() {
    local bench=build/release/bin/trunkbench
    "$bench" selftest --duration 1 || return 1
    with_broker release "" \
        "$bench pairs --qos 0 --duration 1" \
        "$bench pairs --qos 2 --duration 1" \
        "$bench fan-in --qos 1 --duration 1" \
        "$bench fan-out --qos 1 --duration 1" \
        "$bench durable --duration 1" \
        "$bench durable --offline --duration 1" \
        "$bench retained --topics 20000" \
        "$bench connect --count 2000"
}

step_build-asan() { build asan "${asan_targets[@]}"; }
step_asan-unit() { ctest --test-dir build/asan --output-on-failure -R '^(unit|unit_net|unit_admin|fault)$'; }
# Without what measures memory and speed, which the sanitizers change, and with fewer of what takes them long.
step_asan-e2e() {
    TRUNKLINE_FUZZ_REQUESTS=100 tests/e2e/run --broker "$(two_workers asan)" -v \
        --without memory --without start_is_quick --without storm --without tens_of_thousands
}

# GCC 12's ThreadSanitizer cannot place its shadow where the kernel randomises addresses widely.
fixed_addresses() { if setarch -R true 2>/dev/null; then echo "setarch -R"; fi; }
step_build-tsan() { build tsan "${tsan_targets[@]}"; }
step_tsan-unit() {
    $(fixed_addresses) ctest --test-dir build/tsan --output-on-failure -R '^(unit|unit_net)$'
}
step_tsan-e2e() {
    local program bench=build/release/bin/trunkbench part
    program=$(two_workers tsan "$(fixed_addresses)")
    for part in publish session shared will; do
        tests/e2e/run --broker "$program" --only "$part." -j 4 || return 1
    done
    with_broker tsan "$(fixed_addresses)" \
        "$bench pairs --clients 20 --qos 1 --duration 2" \
        "$bench fan-out --clients 20 --qos 2 --duration 2" \
        "$bench durable --clients 10 --duration 2" \
        "$bench connect --count 500 --subscribe"
}

# One target for a while; prints what it did, or why it ended.
fuzz_one() {
    local name seeds=()
    name=$(basename "$1")
    [ "$name" != fuzz_decode ] || seeds=(build/asan/corpus/packets)
    [ "$name" != fuzz_model ] || seeds=(deploy/examples tests/namespace)
    [ "$name" != fuzz_config ] || seeds=(deploy/deb)
    mkdir -p "build/asan/found/$name"
    if "$1" -max_total_time="$TRUNKLINE_FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$logs/$name-" "build/asan/found/$name" "${seeds[@]}" >"$logs/$name.log" 2>&1; then
        echo "$name: $(grep '^Done' "$logs/$name.log")"
    else
        echo "$name found something:"
        tail -n 40 "$logs/$name.log"
        return 1
    fi
}
step_fuzz() {
    export logs
    export -f fuzz_one
    printf '%s\n' build/asan/bin/fuzz_* | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one {}'
}

free_ports() {
    python3 -c 'import socket
probes = [socket.socket() for _ in range(2)]
for probe in probes: probe.bind(("127.0.0.1", 0))
print(*(probe.getsockname()[1] for probe in probes))'
}

# with_broker PRESET PREFIX COMMAND...: each command with --url of a broker of that preset with two workers. The broker
# must end with exit code 0, which no sanitizer allows that has reported something.
with_broker() {
    local preset=$1 prefix=$2 port admin folder pid command result=0
    shift 2
    read -r port admin < <(free_ports)
    folder=$(mktemp -d)
    $prefix "build/$preset/bin/trunkline" --workers 2 --data "$folder/data" --listen "mqtt://127.0.0.1:$port" \
        --admin "127.0.0.1:$admin" 2>"$folder/log" &
    pid=$!
    for _ in $(seq 300); do
        grep -q '^trunkline: ready' "$folder/log" && break
        sleep 0.1
    done
    for command in "$@"; do
        echo "== $command"
        $command --url "mqtt://127.0.0.1:$port" || result=1
    done
    kill -TERM $pid 2>/dev/null
    wait $pid || result=1
    [ $result = 0 ] || cat "$folder/log"
    rm -rf "$folder"
    return $result
}

# ---------------------------------------------------------------- running them

step_names() { awk 'NF {print $1}' <<<"$steps"; }
limit_of() { awk -v name="$1" '$1 == name {print $2}' <<<"$steps"; }

chosen=$(step_names)
while [ $# -gt 0 ]; do
    case $1 in
        --quick) chosen=$(awk '$3 == "quick" {print $1}' <<<"$steps") ;;
        --only)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            for name in ${2//,/ }; do
                [ -n "$(limit_of "$name")" ] || { echo "no step $name; see --list" >&2; exit 2; }
            done
            chosen=$(step_names | grep -xF "$(tr , '\n' <<<"$2")")
            shift ;;
        --list) awk 'NF {printf "%-20s at most %5d s%s\n", $1, $2, $3 ? ", in --quick" : ""}' <<<"$steps"; exit 0 ;;
        --fuzz-seconds|--sim-seeds|--kill-rounds)
            [[ ${2:-} =~ ^[0-9]+$ ]] || { usage >&2; exit 2; }
            name=${1#--}; name=${name//-/_}
            export "TRUNKLINE_${name^^}=$2"
            shift ;;
        --step) "step_$2"; exit $? ;;  # one step, by the loop below
        -h|--help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

# Most tests wait more than they work: meanwhile the builds that come later begin, on what the processors have to spare.
# Each build's own step goes on from there, and is what judges it.
ahead=
build_ahead() {
    local later
    later=$(sed "1,/^$name\$/d" <<<"$chosen" | grep -x 'build-.*') || return 0
    setsid chrt --idle 0 bash -c 'for step; do bash tests/run.sh --step "$step"; done' ahead $later \
        >"$logs/ahead.log" 2>&1 </dev/null &
    ahead=$!
    export TRUNKLINE_AHEAD=$ahead
}
# Each compiler has a process group of its own, but all are in one session. What measures time does so without them.
signal_ahead() { [ -z "$ahead" ] || pkill "-$1" --session "$ahead" || true; }
stop_building_ahead() {
    [ -n "$ahead" ] || return 0
    kill -TERM -- "-$ahead" 2>/dev/null
    signal_ahead CONT
    wait "$ahead" 2>/dev/null
    while pgrep --session "$ahead" >/dev/null; do sleep 0.1; done
    ahead=
    unset TRUNKLINE_AHEAD
}
trap stop_building_ahead EXIT

# What a sanitizer reported first, or the first failed check: the end of a log seldom says.
first_finding() {
    grep -m 1 -n -E 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer|runtime error:|FAILED:|^FAIL' "$1" | cut -d: -f1 |
        while read -r line; do sed -n "$line,$((line + 15))p" "$1"; echo '...'; done
}

mkdir -p "$logs"
started=$SECONDS passed=0 failed=0
for name in $chosen; do
    begin=$SECONDS
    case $name in build-*) stop_building_ahead ;; bench-smoke) signal_ahead STOP ;; esac
    timeout --kill-after=10 "$(limit_of "$name")" bash tests/run.sh --step "$name" >"$logs/$name.log" 2>&1 </dev/null
    code=$?
    signal_ahead CONT
    if [ $code = 0 ]; then
        passed=$((passed + 1))
        printf 'PASS %-20s %5d s\n' "$name" $((SECONDS - begin))
        case $name in build-*) build_ahead ;; esac
    else
        failed=$((failed + 1))
        printf 'FAIL %-20s %5d s  ' "$name" $((SECONDS - begin))
        if [ $code = 124 ] || [ $code = 137 ]; then echo "not done in time; $logs/$name.log ends with"
        else echo "$logs/$name.log ends with"; fi
        { first_finding "$logs/$name.log"; tail -n 25 "$logs/$name.log"; } | sed 's/^/    /'
    fi
done
echo "all of it took $((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
