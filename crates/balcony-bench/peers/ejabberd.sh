#!/bin/sh
# ejabberd of Debian's package, on loopback, set up so that it does its best.
#   ejabberd.sh start | stop | wipe | rosters COUNT CONTACTS
# Clients: 127.0.0.1:15222 (STARTTLS offered) and :15223 (direct TLS). `start` prints the process id.
# BENCH_DIR: where everything is kept, default /tmp/balcony-bench. The accounts stay until `wipe`.
# MAM: `off` (default), or `pgsql` for an archive of every message in a PostgreSQL of its own, whose
# process id is printed behind a comma. That is what large sites do; in Mnesia it falls behind.
# `rosters` writes those that `balcony-bench roster` makes, when the accounts are there.
set -eu
dir=${BENCH_DIR:-/tmp/balcony-bench}/ejabberd
base=${BENCH_DIR:-/tmp/balcony-bench}/postgresql
mam=${MAM:-off}
case $mam in off | pgsql) ;; *) echo "MAM is off or pgsql" >&2; exit 2 ;; esac

database() {
    [ "$mam" = pgsql ] || return 0
    cat <<EOF
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: 15299
sql_database: ejabberd
sql_username: ejabberd
sql_password: ejabberd
sql_pool_size: 10
EOF
}

archive() {
    [ "$mam" = pgsql ] || return 0
    echo "  mod_mam: {default: always, db_type: sql}"
}

rooms() {
    # A room takes 200 by default, and tells the others of the first 1,000 only.
    options="host: conference.localhost, max_users: 20000, max_users_presence: 20000"
    room="max_users: 20000"
    [ "$mam" = off ] || room="$room, mam: true"
    echo "  mod_muc: {$options, history_size: 20, default_room_options: {$room}}"
}

# PostgreSQL does not run as root.
as_database() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid postgres --regid postgres --clear-groups "$@"
    else
        "$@"
    fi
}

configure_database() {
    mkdir -p "$base/data" "$base/socket"
    [ "$(id -u)" != 0 ] || chown -R postgres: "$base"
    as_database "$bin/initdb" -D "$base/data" -A trust -E UTF8 --locale C > "$dir/initdb.log"
    # On loopback only. A commit is on the disk when it is answered, as PostgreSQL comes; and what
    # its documentation advises: a cache that fits the machine, checkpoints that are rare.
    cat >> "$base/data/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
port = 15299
unix_socket_directories = '$base/socket'
fsync = on
synchronous_commit = on
shared_buffers = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
EOF
}

start_database() {
    [ "$mam" = pgsql ] || return 0
    bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
    [ -f "$base/data/PG_VERSION" ] || configure_database
    ( cd "$base"; as_database setsid "$bin/postgres" -D "$base/data" ) \
        > "$dir/postgresql.log" 2>&1 < /dev/null &
    for _ in $(seq 300); do
        "$bin/pg_isready" -q -h "$base/socket" -p 15299 && break
        sleep 0.1
    done
    head -n 1 "$base/data/postmaster.pid" > "$dir/postgresql.pid"
    psql="as_database $bin/psql -q -v ON_ERROR_STOP=1 -h $base/socket -p 15299"
    $psql -d ejabberd -c '' 2> /dev/null && return
    $psql -d postgres -c "CREATE ROLE ejabberd LOGIN" -c "CREATE DATABASE ejabberd OWNER ejabberd"
    $psql -d ejabberd -U ejabberd < /usr/share/ejabberd/sql/pg.sql
}

configure() {
    mkdir -p "$dir/mnesia" "$dir/log"
    # ECDSA P-256: what authorities issue by default, and the cheapest handshake that there is.
    [ -f "$dir/server.pem" ] || {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
            -subj /CN=localhost -addext subjectAltName=DNS:localhost \
            -keyout "$dir/key.pem" -out "$dir/cert.pem" 2> /dev/null
        cat "$dir/key.pem" "$dir/cert.pem" > "$dir/server.pem"
    }
    cat > "$dir/ejabberd.yml" <<EOF
hosts: [localhost]
loglevel: error
certfiles: ["$dir/server.pem"]
auth_method: internal
auth_password_format: scram
registration_timeout: infinity
$(database)
listen:
  - port: 15222
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: true
    max_stanza_size: 262144
    backlog: 4096
  - port: 15223
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    max_stanza_size: 262144
    backlog: 4096
access_rules:
  c2s: {allow: all}
  register: {allow: all}
shaper_rules:
  max_user_sessions: 20
modules:
  mod_adhoc: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_last: {}
$(rooms)
  mod_offline: {}
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub: {plugins: [flat, pep]}
  mod_register: {ip_access: all, access: register, captcha_protected: false}
  mod_roster: {versioning: true}
  mod_stream_mgmt: {}
  mod_time: {}
  mod_vcard: {search: false}
  mod_version: {}
$(archive)
EOF
}

start() {
    configure
    ulimit -n "$(ulimit -Hn)"
    export EJABBERD_CONFIG_PATH="$dir/ejabberd.yml" EJABBERD_LOG_PATH="$dir/log/ejabberd.log"
    export ERL_CRASH_DUMP_BYTES=0 HOME="$dir"
    ERL_LIBS=$(dirname "$(find /usr/lib -maxdepth 3 -type d -name 'ejabberd-*' | head -n 1)")
    export ERL_LIBS
    # +sbwt none: a scheduler that waits does not spin, which would count as CPU time of the work.
    # +P, +Q: processes and sockets enough. No distribution: nothing listens for other Erlang nodes.
    setsid erl -noinput +K true +P 250000 +Q 65536 +sbwt none +sbwtdcpu none +sbwtdio none \
        -mnesia dir "\"$dir/mnesia\"" -s ejabberd > "$dir/log/console" 2>&1 < /dev/null &
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

stop_process() {
    [ -f "$1" ] || return 0
    pid=$(cat "$1")
    kill -s "$2" "$pid" 2> /dev/null || true
    for _ in $(seq 300); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    # What still runs would take the next one's port and time.
    kill -s KILL "$pid" 2> /dev/null || true
    rm -f "$1"
}

stop() {
    stop_process "$dir/pid" TERM
    # A start that was cut short has not written down which process it is.
    [ ! -f "$base/data/postmaster.pid" ] ||
        head -n 1 "$base/data/postmaster.pid" > "$dir/postgresql.pid"
    # It does not wait for its clients to go.
    stop_process "$dir/postgresql.pid" INT
}

# Into the table itself, while the server is stopped. It takes 50 ms of CPU for each two who ask one
# another and agree, and a batch of them does not always come to an end.
rosters() {
    ERL_CRASH_DUMP_BYTES=0 erl -noinput -mnesia dir "\"$dir/mnesia\"" -eval "
        ok = mnesia:start(), ok = mnesia:wait_for_tables([roster], 60000),
        Account = fun(Number) ->
            {iolist_to_binary([\"bench\", integer_to_list((Number + $1) rem $1)]), <<\"localhost\">>}
        end,
        Write = fun(Number, Step) ->
            Own = {User, Host} = Account(Number), {Contact, Host} = Account(Number + Step),
            Jid = {Contact, Host, <<>>},
            Key = {User, Host, Jid},
            ok = mnesia:dirty_write({roster, Key, Own, Jid, <<>>, both, none, [], <<>>, []})
        end,
        Steps = lists:seq(-$2 div 2, -1) ++ lists:seq(1, $2 div 2),
        [Write(Number, Step) || Number <- lists:seq(0, $1 - 1), Step <- Steps],
        stopped = mnesia:stop(), halt(0)."
}

pids() {
    cat "$dir/pid" "$dir/postgresql.pid" 2> /dev/null | paste -sd ,
}

case ${1:-} in
    start) stop; mkdir -p "$dir"; start_database; start; wait_for 15223; pids ;;
    stop) stop ;;
    wipe) stop; rm -rf "$dir" "$base" ;;
    rosters) stop; rosters "$2" "$3" ;;
    *) sed -n '2,8s/^# //p' "$0"; exit 2 ;;
esac
