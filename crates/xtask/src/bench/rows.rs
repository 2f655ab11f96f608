//! What is compared, as data: rows of cases, what they measure, and the goals.

use clap::ValueEnum;

/// Who is measured, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(super) enum Kind {
    Balcony,
    Ejabberd,
    Prosody,
    /// Copies bytes and knows no XMPP.
    Relay,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Balcony, Kind::Ejabberd, Kind::Prosody, Kind::Relay];
    pub(super) const PEERS: [Kind; 2] = [Kind::Ejabberd, Kind::Prosody];

    /// As options, scripts and results call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Balcony => "balcony",
            Kind::Ejabberd => "ejabberd",
            Kind::Prosody => "prosody",
            Kind::Relay => "relay",
        }
    }

    /// Another server, with which Balcony is compared.
    pub(super) fn is_peer(self) -> bool {
        Kind::PEERS.contains(&self)
    }

    /// As it calls itself.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Balcony => "Balcony",
            Kind::Ejabberd => "ejabberd",
            Kind::Prosody => "Prosody",
            Kind::Relay => "relay",
        }
    }
}

/// Where a server keeps its data, and which accounts are in it. Cases of a kind that name the same
/// home share it, with the most accounts that one of them asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) name: &'static str,
    /// Every message is kept.
    pub(super) archive: bool,
    /// Made anew for each run, so that none works on what the one before has left in an archive.
    pub(super) fresh: bool,
    pub(super) accounts: u64,
    /// The first so many of them have their 20 nearest neighbours as contacts.
    pub(super) contacts: u64,
    /// Accounts of those who come and go, which have names of their own.
    pub(super) visitors: u64,
}

/// What one of the kinds does in a row.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) kind: Kind,
    /// Tells apart two cases of one kind; empty where there is one.
    pub(super) variant: &'static str,
    /// The relay needs none.
    pub(super) home: Home,
    /// What `balcony-bench` is told, without what says where the server is. `DATA` is the folder
    /// in which the server keeps its archive.
    pub(super) words: String,
}

/// What a value of the median run is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// It is at most so much.
    AtMost(f64),
    /// It is at most so many times that of the relay.
    Relay(f64),
    /// It is at most so much of that of the better peer.
    BetterPeer(f64),
    /// It is at most so many times that of this other variant.
    Variant(&'static str, f64),
}

/// One value of the runs of a row.
#[derive(Debug)]
pub(super) struct Measure {
    /// Its name in the results of `balcony-bench`.
    pub(super) field: &'static str,
    pub(super) unit: &'static str,
    /// From the unit of the results to this one.
    pub(super) scale: f64,
    /// A time or a rate: it depends on who else uses the machine.
    pub(super) timing: bool,
    pub(super) goals: &'static [Goal],
}

/// One comparison.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Direct TLS; in clear otherwise.
    pub(super) tls: bool,
    pub(super) cases: Vec<Case>,
    pub(super) measures: &'static [Measure],
    /// Seconds that a run may take before and after those that are measured.
    pub(super) limit: u64,
}

/// What the rows are made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// That are measured in each run.
    pub(super) seconds: f64,
    /// Descriptors that a process may have.
    pub(super) descriptors: u64,
}

/// Seconds before those that are measured.
const WARMUP: u64 = 2;

/// Users who tell their contacts something at once, and who are idle with those that log in before.
const USERS: u64 = 5_100;

/// Users of the peers who do so.
const FEWER: u64 = 1_000;

/// Users who log in at once.
const LOGINS: u64 = 2_000;

/// Sessions of one process beside which it needs descriptors for other things.
const SPARE: u64 = 500;

/// Sessions of the large idle case, and the accounts that it takes with those that log in before.
const IDLE: u64 = 19_000;
const IDLE_ACCOUNTS: u64 = IDLE + 100;

/// Pairs that chat during the storm, so that nobody is forgotten over those who come back.
const OTHERS: u64 = 20;

const MAIN: Home = Home {
    name: "main",
    archive: false,
    fresh: false,
    accounts: USERS,
    contacts: USERS,
    visitors: 0,
};

/// Enough for 100 pairs.
const CHAT: Home = Home {
    accounts: 200,
    contacts: 200,
    ..MAIN
};

/// More accounts than the peers are given: Balcony makes them in minutes.
const MANY: Home = Home {
    name: "many",
    accounts: IDLE_ACCOUNTS,
    contacts: IDLE_ACCOUNTS,
    ..MAIN
};

const ARCHIVE: Home = Home {
    name: "archive",
    archive: true,
    fresh: true,
    contacts: 0,
    ..CHAT
};

/// Few messages are sent here, so that what they leave in an archive does not weigh.
const ROOMS: Home = Home {
    name: "rooms",
    fresh: false,
    accounts: 1_000,
    ..ARCHIVE
};

/// Those who chat, with contacts, and those who read their archives.
const MIXED: Home = Home {
    name: "mixed",
    accounts: 420,
    contacts: 400,
    visitors: 200,
    ..ARCHIVE
};

const fn measure(field: &'static str, unit: &'static str, goals: &'static [Goal]) -> Measure {
    Measure {
        field,
        unit,
        scale: 1.0,
        timing: false,
        goals,
    }
}

const fn timing(field: &'static str, unit: &'static str, goals: &'static [Goal]) -> Measure {
    Measure {
        timing: true,
        ..measure(field, unit, goals)
    }
}

const P50: Measure = timing("p50_ms", "p50 ms", &[]);
const P99: Measure = timing("p99_ms", "p99 ms", &[]);
const RATE: Measure = timing("per_s", "1/s", &[]);

/// 8 KB for a session that does nothing.
const MEMORY: &[Measure] = &[
    Measure {
        scale: 1024.0,
        ..measure(
            "kib_each_30s",
            "RSS bytes/session",
            &[Goal::AtMost(8_000.0)],
        )
    },
    measure("empty_mib", "RSS MiB before", &[]),
    measure("idle_cores", "cores while idle", &[]),
];

const CHAT_LOOP: &[Measure] = &[
    measure(
        "server_us",
        "CPU µs/message",
        &[Goal::Relay(2.5), Goal::BetterPeer(0.1)],
    ),
    RATE,
    P50,
    P99,
];

const CHAT_RATE: &[Measure] = &[
    measure("server_us", "CPU µs/message", &[Goal::Relay(1.5)]),
    P50,
    P99,
];

const CHAT_ARCHIVE: &[Measure] = &[
    measure("server_us", "CPU µs/message", &[Goal::BetterPeer(0.1)]),
    timing("acked_per_s", "acknowledged/s", &[]),
    timing("acked_p50_ms", "p50 ms until acknowledged", &[]),
    timing("acked_p99_ms", "p99 ms until acknowledged", &[]),
    timing("sync_before_p50_ms", "p50 ms of a sync of 8 KiB", &[]),
];

const LOGIN: &[Measure] = &[
    measure("server_us", "CPU µs/login", &[Goal::Relay(2.0)]),
    RATE,
    P50,
    P99,
];

const STORM: &[Measure] = &[
    timing("all_ms", "ms until all are back", &[Goal::Relay(1.0)]),
    measure("server_us", "CPU µs/session", &[]),
    P99,
    timing("others_p99_ms", "p99 ms of the others", &[]),
];

const ROOM: &[Measure] = &[
    measure("server_us", "CPU µs/copy", &[Goal::Relay(1.25)]),
    RATE,
    P99,
    measure("entry_server_us", "CPU µs/presence on entry", &[]),
];

const PRESENCE: &[Measure] = &[
    measure(
        "server_us",
        "CPU µs/copy",
        &[Goal::Relay(1.25), Goal::BetterPeer(1.0 / 6.0)],
    ),
    RATE,
    P99,
];

const SESSIONS: &[Measure] = &[measure(
    "server_us",
    "CPU µs/message",
    &[Goal::Variant(FEW, 1.1)],
)];

/// At half of what saturates the server, nobody waits.
const PATIENCE: &[Goal] = &[Goal::AtMost(20.0)];

const MIX: &[Measure] = &[
    timing("chat_p99_ms", "p99 ms of a chat message", PATIENCE),
    timing("presence_p99_ms", "p99 ms of a presence", PATIENCE),
    timing("room_p99_ms", "p99 ms of a message to a room", PATIENCE),
    timing("mam_p99_ms", "p99 ms of a page of an archive", PATIENCE),
    timing("login_p99_ms", "p99 ms of a login", PATIENCE),
    timing("saturation_scale", "scale that saturates", &[]),
    measure("server_cores", "cores at half of it", &[]),
];

/// Bystanders of the two variants of a row.
const FEW: &str = "500 bystanders";
const TEN_TIMES: &str = "5,000 bystanders";

/// All rows that this machine has descriptors for.
pub(super) fn all(scale: Scale) -> Vec<Row> {
    let timed = format!("--runs 1 --seconds {} --warmup {WARMUP}", scale.seconds);
    let mut rows = idle(scale);
    rows.extend(chat(&timed));
    rows.extend(archive(&timed));
    rows.push(login());
    rows.extend(storm(scale));
    rows.extend(room(&timed));
    rows.extend(presence(&timed));
    rows.push(sessions(&timed));
    rows.push(mixed(&timed));
    rows
}

/// The same words for every server.
fn servers(home: &Home, words: &str) -> Vec<Case> {
    let servers = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Relay);
    servers.map(|kind| case(kind, home, words)).collect()
}

fn case(kind: Kind, home: &Home, words: &str) -> Case {
    Case {
        kind,
        variant: "",
        home: home.clone(),
        words: words.to_owned(),
    }
}

fn relay(words: &str) -> Case {
    case(Kind::Relay, &CHAT, words)
}

/// Every server, and the relay with words of its own.
fn beside_the_relay(home: &Home, words: &str, relays: &str) -> Vec<Case> {
    let mut cases = servers(home, words);
    cases.push(relay(relays));
    cases
}

/// The same in clear and over TLS.
fn both(names: [&'static str; 2], row: &Row) -> [Row; 2] {
    let [clear, tls] = names;
    [(clear, false), (tls, true)].map(|(name, tls)| Row {
        name,
        tls,
        ..row.clone()
    })
}

fn idle(scale: Scale) -> Vec<Row> {
    let words = |users| format!("idle --manage --users {users} --wait 30");
    let mut cases = vec![case(Kind::Balcony, &MAIN, &words(5_000))];
    let few = Home {
        accounts: 1_100,
        contacts: 1_100,
        ..MAIN
    };
    cases.extend(Kind::PEERS.map(|kind| case(kind, &few, &words(1_000))));
    let few = Row {
        name: "idle-tls",
        tls: true,
        cases,
        measures: MEMORY,
        limit: 180,
    };
    let many = Row {
        name: "idle-19000",
        cases: vec![case(Kind::Balcony, &MANY, &words(IDLE))],
        limit: 300,
        ..few.clone()
    };
    let fits = scale.descriptors >= IDLE_ACCOUNTS + SPARE;
    [few].into_iter().chain(fits.then_some(many)).collect()
}

fn chat(timed: &str) -> Vec<Row> {
    let row = |pace: &str, measures| Row {
        name: "",
        tls: false,
        cases: beside_the_relay(
            &CHAT,
            &format!("chat --pairs 100 {pace} {timed}"),
            &format!("relay --pairs 100 {pace} {timed}"),
        ),
        measures,
        limit: 60,
    };
    let closed = row("--window 4", CHAT_LOOP);
    let fixed = row("--rate 2000", CHAT_RATE);
    let closed = both(["chat-loop-plain", "chat-loop-tls"], &closed);
    let fixed = both(["chat-rate-plain", "chat-rate-tls"], &fixed);
    closed.into_iter().chain(fixed).collect()
}

fn archive(timed: &str) -> [Row; 2] {
    let row = |name, pace: &str| Row {
        name,
        tls: true,
        cases: servers(
            &ARCHIVE,
            &format!("chat --pairs 100 {pace} --data-dir DATA {timed}"),
        ),
        measures: CHAT_ARCHIVE,
        limit: 90,
    };
    [
        row("chat-archive-loop", "--window 4 --acks 10"),
        row("chat-archive-rate", "--rate 1000 --acks 1"),
    ]
}

fn login() -> Row {
    let home = Home {
        accounts: LOGINS,
        contacts: LOGINS,
        ..MAIN
    };
    Row {
        name: "login-tls",
        tls: true,
        cases: beside_the_relay(
            &home,
            &format!("login --users {LOGINS} --parallel 32 --runs 1"),
            &format!("relay --handshakes {LOGINS} --parallel 32 --runs 1"),
        ),
        measures: LOGIN,
        limit: 120,
    }
}

/// As many as there are descriptors for while the old connections are still known: 10,000 at most.
fn storm(scale: Scale) -> Option<Row> {
    let users = (scale.descriptors.saturating_sub(SPARE) / 2 / 1_000 * 1_000).min(10_000);
    let storm = format!("--sasl2 --fast --pipelined --others {OTHERS} --runs 1");
    let home = Home {
        accounts: users + 2 * OTHERS + 1,
        contacts: 0,
        ..MANY
    };
    (users > 0).then(|| Row {
        name: "storm",
        tls: true,
        cases: vec![
            case(
                Kind::Balcony,
                &home,
                &format!("reconnect --users {users} {storm}"),
            ),
            relay(&format!(
                "relay --handshakes {users} --parallel {users} --runs 1"
            )),
        ],
        measures: STORM,
        limit: 180,
    })
}

fn room(timed: &str) -> [Row; 2] {
    let row = Row {
        name: "",
        tls: false,
        cases: beside_the_relay(
            &ROOMS,
            &format!("muc --occupants 1000 --window 4 {timed}"),
            &format!("relay --pairs 1 --window 4 --fanout 1000 {timed}"),
        ),
        measures: ROOM,
        // A million presences come before.
        limit: 240,
    };
    both(["room-plain", "room-tls"], &row)
}

/// The peers with fewer users: of 5,100 the last presences take longer than the 20 seconds after
/// which `balcony-bench` calls them lost. The relay has as many connections as Balcony, and one in
/// 21 of them sends.
fn presence(timed: &str) -> [Row; 2] {
    let words = |users| format!("presence --users {users} --window 1 {timed}");
    let few = Home {
        name: "contacts",
        accounts: FEWER,
        contacts: FEWER,
        ..MAIN
    };
    let mut cases = vec![case(Kind::Balcony, &MAIN, &words(USERS))];
    cases.extend(Kind::PEERS.map(|kind| case(kind, &few, &words(FEWER))));
    cases.push(relay(&format!(
        "relay --pairs 250 --window 1 --fanout 20 {timed}"
    )));
    let row = Row {
        name: "",
        tls: false,
        cases,
        measures: PRESENCE,
        limit: 240,
    };
    both(["presence-plain", "presence-tls"], &row)
}

fn sessions(timed: &str) -> Row {
    let case = |variant, bystanders| Case {
        variant,
        ..case(
            Kind::Balcony,
            &MAIN,
            &format!("chat --pairs 50 --window 4 --bystanders {bystanders} {timed}"),
        )
    };
    Row {
        name: "sessions-10x",
        tls: false,
        cases: vec![case(FEW, 500), case(TEN_TIMES, 5_000)],
        measures: SESSIONS,
        limit: 90,
    }
}

/// Each finds its own saturation first, and is measured at half of that.
fn mixed(timed: &str) -> Row {
    Row {
        name: "mixed",
        tls: true,
        cases: servers(&MIXED, &format!("mixed --find-saturation {timed}")),
        measures: MIX,
        limit: 300,
    }
}
