#!/usr/bin/env bash
# From a fresh clone on Debian 12 to a running broker with a simulated plant publishing into it.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: deploy/quickstart.sh [options] [-- options of trunkline]

Installs what is needed (root or sudo), builds Release, starts the broker and the plant simulator, and stays in the
foreground until Ctrl-C.

  --no-demo            the broker alone, without the simulated plant
  --build-only         build and stop there
  --detach             leave it running in the background
  --stop               stop what --detach left running
  --data DIR           folder of the store (default: ./trunkline-data)
  --port N             MQTT port on 127.0.0.1 (default: 1883)
  --admin ADDR:PORT    administration and metrics (default: 127.0.0.1:9883)
  --assets N           simulated assets (default: 20)
  --rate N             their readings a second (default: 100)

With TRUNKLINE_QUICKSTART_BUILT=yes in the environment it starts what is built already.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/release/bin
run=${TRUNKLINE_QUICKSTART_DIR:-$root/build/quickstart}   # process ids and logs
demo=yes detach=no only_build=no stop=no
data=trunkline-data port=1883 admin=127.0.0.1:9883 assets=20 rate=100
broker_args=()

say() { echo "quickstart: $*"; }
die() { echo "quickstart: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --no-demo) demo=no ;;
        --detach) detach=yes ;;
        --build-only) only_build=yes ;;
        --stop) stop=yes ;;
        --data|--port|--admin|--assets|--rate)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        -h|--help) usage; exit 0 ;;
        --) shift; broker_args=("$@"); break ;;
        *) echo "quickstart: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

# pid_of NAME: the process of that name that we started and that still runs; nothing otherwise.
pid_of() {
    local pid program
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 0
    program=$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')
    [ "$program" = "$(readlink -f "$bin/$2")" ] && echo "$pid" || return 0
}

# stop_one NAME PROGRAM SECONDS: asks it to end and waits for that.
stop_one() {
    local pid
    pid=$(pid_of "$1" "$2")
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        for _ in $(seq $(($3 * 10))); do
            [ -n "$(pid_of "$1" "$2")" ] || break
            sleep 0.1
        done
        [ -z "$(pid_of "$1" "$2")" ] || { say "process $pid ($2) has not ended within $3 s"; return 1; }
    fi
    rm -f "$run/$1.pid"
}

stop_all() {
    local result=0
    stop_one plant trunkbench 10 || result=1
    stop_one broker trunkline 40 || result=1
    return $result
}

build() {
    "$root/deploy/install-packages" build demo
    local started=$SECONDS
    (cd "$root" && cmake --preset release >"$run/cmake.log" 2>&1) ||
        { tail -n 30 "$run/cmake.log" >&2; die "cmake failed"; }
    cmake --build "$root/build/release" --target trunkline trunkctl trunkbench
    say "built in $((SECONDS - started)) s: $bin"
}

# The end of the log, and what to do when an address was taken.
explain_failure() {
    echo "quickstart: the broker $1. Its log, $run/broker.log:" >&2
    tail -n 15 "$run/broker.log" | sed 's/^/    /' >&2
    if grep -q 'administration cannot listen.*in use' "$run/broker.log"; then
        echo "quickstart: $admin is taken; choose another with --admin 127.0.0.1:PORT" >&2
    elif grep -q 'cannot listen.*in use' "$run/broker.log"; then
        echo "quickstart: port $port is taken (by another broker?); choose another with --port N" >&2
    fi
}

start_broker() {
    setsid "$bin/trunkline" --data "$data" --listen "mqtt://127.0.0.1:$port" --admin "$admin" "${broker_args[@]}" \
        >"$run/broker.log" 2>&1 </dev/null &
    echo $! >"$run/broker.pid"
    for _ in $(seq 600); do
        grep -q '^trunkline: ready' "$run/broker.log" && return 0
        kill -0 "$(cat "$run/broker.pid")" 2>/dev/null || break
        sleep 0.1
    done
    explain_failure "did not start"
    stop_all || true
    exit 1
}

start_plant() {
    setsid "$bin/trunkbench" plant --url "mqtt://127.0.0.1:$port" --assets "$assets" --rate "$rate" \
        >"$run/plant.log" 2>&1 </dev/null &
    echo $! >"$run/plant.pid"
    sleep 0.5
    if ! kill -0 "$(cat "$run/plant.pid")" 2>/dev/null; then
        echo "quickstart: the plant simulator did not start. Its log, $run/plant.log:" >&2
        tail -n 15 "$run/plant.log" | sed 's/^/    /' >&2
        stop_all || true
        exit 1
    fi
}

say_what_next() {
    local p="" server=""
    [ "$port" = 1883 ] || p=" -p $port"
    case $admin in
        127.0.0.1:9883) ;;
        unix:*) server=" --server $admin" ;;
        *) server=" --server http://$admin" ;;
    esac
    cat <<TEXT

Trunkline is ready: MQTT on 127.0.0.1:$port, administration on $admin, data in $data
$([ $demo = yes ] && echo "A plant of $assets assets publishes about $rate readings a second into it.")
Try, in another terminal:
    mosquitto_sub -h 127.0.0.1$p -t '#' -v
    build/release/bin/trunkctl$server status
    build/release/bin/trunkctl$server tree acme -L 4
    build/release/bin/trunkctl$server watch 'acme/+/+/+/+/temperature'
$(case $admin in unix:*) ;; *) echo "    http://$admin/metrics" ;; esac)
Logs: $run/broker.log
TEXT
}

mkdir -p "$run"
if [ $stop = yes ]; then
    stop_all || exit 1
    say "stopped"
    exit 0
fi
if [ -n "$(pid_of broker trunkline)" ]; then
    say "it runs already (process $(pid_of broker trunkline)); stop it with deploy/quickstart.sh --stop"
    exit 1
fi
stop_all   # a plant whose broker was killed
[ "${TRUNKLINE_QUICKSTART_BUILT:-no}" = yes ] || build
[ $only_build = no ] || exit 0

ended() { trap '' INT TERM HUP; say "stopping"; stop_all; exit $?; }
trap ended INT TERM HUP
start_broker
[ $demo = no ] || start_plant
say_what_next
if [ $detach = yes ]; then
    echo "It runs in the background (process $(cat "$run/broker.pid")). Stop it with: deploy/quickstart.sh --stop"
    exit 0
fi
echo "Ctrl-C stops it."
wait -n || true
if [ -z "$(pid_of broker trunkline)" ]; then
    explain_failure "has ended"
else
    say "the plant simulator has ended, see $run/plant.log"
fi
stop_all || true
exit 1
