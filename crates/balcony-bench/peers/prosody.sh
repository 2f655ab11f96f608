#!/bin/sh
# Prosody of Debian's package, on loopback, set up so that it does its best.
#   prosody.sh start | stop | wipe | rosters COUNT CONTACTS
# Clients: 127.0.0.1:15322 (STARTTLS offered) and :15323 (direct TLS). `start` prints the process id.
# BENCH_DIR: where everything is kept, default /tmp/balcony-bench. The accounts stay until `wipe`.
# MAM: `off` (default), or `internal` for an archive of every message in files.
# `rosters` writes those that `balcony-bench roster` makes, when the accounts are there.
set -eu
dir=${BENCH_DIR:-/tmp/balcony-bench}/prosody

mam=${MAM:-off}
case $mam in off | internal) ;; *) echo "MAM is off or internal" >&2; exit 2 ;; esac

archive() {
    [ "$mam" = internal ] || return 0
    # Of everybody and for ever. The limit of 10,000 messages would forbid larger archives, and at
    # that limit each message costs the removal of another.
    cat <<EOF
    modules_enabled = { "mam" }
    default_archive_policy = true
    archive_expires_after = "never"
    storage_archive_item_limit = 100000000
EOF
}

room_archive() {
    [ "$mam" = internal ] || return 0
    cat <<EOF
    modules_enabled = { "muc_mam" }
    archive_expires_after = "never"
    storage_archive_item_limit = 100000000
EOF
}

configure() {
    mkdir -p "$dir/data" "$dir/certs"
    # ECDSA P-256: what authorities issue by default, and the cheapest handshake that there is.
    [ -f "$dir/certs/localhost.crt" ] || \
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
            -subj /CN=localhost -addext subjectAltName=DNS:localhost \
            -keyout "$dir/certs/localhost.key" -out "$dir/certs/localhost.crt" 2> /dev/null
    cat > "$dir/prosody.cfg.lua" <<EOF
run_as_root = true
daemonize = false
pidfile = "$dir/prosody.pid"
data_path = "$dir/data"
certificates = "$dir/certs"
log = { warn = "$dir/prosody.log" }
-- What its documentation recommends for many connections.
network_backend = "epoll"
network_settings = { tcp_backlog = 4096, opportunistic_writes = true, nagle = false }
gc = { mode = "generational" }
interfaces = { "127.0.0.1" }
c2s_ports = { 15322 }
c2s_direct_tls_ports = { 15323 }
c2s_require_encryption = false
allow_registration = true
authentication = "internal_hashed"
default_iteration_count = 4096
storage = "internal"
-- No "limits": nothing holds the load back.
modules_enabled = {
    "roster", "saslauth", "tls", "disco", "ping", "carbons", "smacks", "csi_simple", "offline",
    "register_ibr", "user_account_management", "blocklist", "bookmarks", "pep", "private",
    "vcard4", "vcard_legacy", "time", "uptime", "version", "posix",
}
modules_disabled = { "s2s" }
VirtualHost "localhost"
$(archive)
Component "conference.localhost" "muc"
$(room_archive)
EOF
}

start() {
    configure
    ulimit -n "$(ulimit -Hn)"
    cd "$dir"
    setsid prosody --config "$dir/prosody.cfg.lua" -F > "$dir/console" 2>&1 < /dev/null &
    echo $! > "$dir/pid"
}

wait_for() {
    for _ in $(seq 300); do
        ss -Hltn "sport = :$1" | grep -q . && return
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
    # It was seen to spin for ever over TLS connections that had ended, deaf to the request.
    kill -s KILL "$pid" 2> /dev/null || true
    rm -f "$dir/pid"
}

# Into the files themselves, while the server is stopped. It takes 10 ms of CPU for each two who ask
# one another and agree, since it writes the whole roster each time.
rosters() {
    mkdir -p "$dir/data/localhost/roster"
    awk -v count="$1" -v reach="$(($2 / 2))" -v folder="$dir/data/localhost/roster" '
        BEGIN {
            for (user = 0; user < count; user++) {
                file = folder "/bench" user ".dat"
                print "return { [false] = { [\"pending\"] = {}; [\"version\"] = 1; };" > file
                for (step = -reach; step <= reach; step++) {
                    if (step == 0) continue
                    printf "[\"bench%d@localhost\"] = ", (user + step + count) % count > file
                    print "{ [\"groups\"] = {}; [\"subscription\"] = \"both\"; };" > file
                }
                print "};" > file
                close(file)
            }
        }'
}

case ${1:-} in
    start) stop; start; wait_for 15323; cat "$dir/pid" ;;
    stop) stop ;;
    wipe) stop; rm -rf "$dir" ;;
    rosters) stop; rosters "$2" "$3" ;;
    *) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
esac
