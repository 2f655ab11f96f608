#!/bin/sh
# Balcony as it is built here, on loopback, with limits that do not hold the load back.
#   balcony.sh start | stop | wipe
# Clients: 127.0.0.1:15122 (STARTTLS offered) and :15123 (direct TLS). `start` prints the process id.
# BENCH_DIR: where everything is kept, default /tmp/balcony-bench. The accounts stay until `wipe`.
# BALCONY: the binary, default target/release/balcony.
# MAM: `off` (default), or `on` for an archive of every message.
set -eu
dir=${BENCH_DIR:-/tmp/balcony-bench}/balcony
binary=${BALCONY:-$(dirname "$0")/../../../target/release/balcony}

case ${MAM:-off} in
    off) archive=never rooms=false ;;
    on) archive=always rooms=true ;;
    *) echo "MAM is off or on" >&2; exit 2 ;;
esac

configure() {
    mkdir -p "$dir"
    cat > "$dir/balcony.toml" <<EOF
data_dir = "$dir/data"
[listen]
c2s = ["127.0.0.1:15122"]
c2s_tls = ["127.0.0.1:15123"]
s2s = []
s2s_tls = []
components = []
[tls]
required = false
[log]
level = "error"
[auth]
# As the peers have. It costs the server only when an account is made.
iterations = 4096
[[host]]
name = "localhost"
registration = "open"
[archive]
default = "$archive"
[muc]
archive = $rooms
messages_per_minute = 60000
message_burst = 10000
presences_per_minute = 60000
presence_burst = 10000
occupants = 20000
[limits]
rate = "1GiB"
burst = "1GiB"
connections_per_address = 1000000
connects_per_address = 1000000
connect_burst_per_address = 1000000
unauthenticated = 1000000
login_failures_per_address = 1000000
[registration]
tries_per_address = 1000000
EOF
}

start() {
    configure
    ulimit -n "$(ulimit -Hn)"
    setsid "$binary" serve --config "$dir/balcony.toml" > "$dir/console" 2>&1 < /dev/null &
    echo $! > "$dir/pid"
}

wait_for() {
    for _ in $(seq 300); do
        # The admin socket comes last.
        ss -Hltn "sport = :$1" | grep -q . && [ -S "$dir/data/admin.sock" ] && return
        sleep 0.1
    done
    echo "it did not start: see $dir" >&2
    exit 1
}

stop() {
    [ -f "$dir/pid" ] || return 0
    pid=$(cat "$dir/pid")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    # What still runs would take the next one's port and time.
    kill -s KILL "$pid" 2> /dev/null || true
    rm -f "$dir/pid"
}

case ${1:-} in
    start) stop; start; wait_for 15123; cat "$dir/pid" ;;
    stop) stop ;;
    wipe) stop; rm -rf "$dir" ;;
    *) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
esac
