#!/bin/sh
# ejabberd of Debian's package, on loopback, set up so that it does its best.
#   ejabberd.sh start | stop | wipe
# Clients: 127.0.0.1:15222 (STARTTLS offered) and :15223 (direct TLS). `start` prints the process id.
# BENCH_DIR: where everything is kept, default /tmp/balcony-bench. The accounts stay until `wipe`.
set -eu
dir=${BENCH_DIR:-/tmp/balcony-bench}/ejabberd

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

stop() {
    [ -f "$dir/pid" ] || return 0
    pid=$(cat "$dir/pid")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    rm -f "$dir/pid"
}

case ${1:-} in
    start) stop; start; wait_for 15223; cat "$dir/pid" ;;
    stop) stop ;;
    wipe) stop; rm -rf "$dir" ;;
    *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
esac
