//! Where the server listens, how it uses TLS, where its data is and how it logs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::Values;

/// The keys at the top of the file.
pub(super) static TOP: Section = Section {
    name: "",
    doc: "Keys that stand before the first section.",
    list: false,
    keys: &[
        Key::new(
            "data_dir",
            Kind::Path,
            Fallback::Toml("\"./balcony-data\""),
            Applies::Restart,
            "The folder of everything that the server keeps: the database, keys, certificates that \
             it makes itself. Made with mode 0700 where it is missing. The default lets a first \
             try run without any rights.",
        ),
        Key::new(
            "workers",
            Kind::Int { min: 1, max: 1024 },
            Fallback::Unset("one for each processor"),
            Applies::Restart,
            "Threads that serve sockets. More than there are processors only adds switches between \
             them.",
        ),
    ],
};

/// `[listen]`
pub(super) static LISTEN: Section = Section {
    name: "listen",
    doc: "Lists of `\"address:port\"`; an empty list means off, `\"[::]:5222\"` every address. The \
          defaults are on loopback, because the default host is `localhost` with a certificate \
          that nobody else should trust.",
    list: false,
    keys: &[
        Key::new(
            "c2s",
            Kind::Addrs,
            Fallback::Toml("[\"127.0.0.1:5222\"]"),
            Applies::Restart,
            "Clients, with STARTTLS (RFC 6120 §14.7 names the port).",
        ),
        Key::new(
            "c2s_tls",
            Kind::Addrs,
            Fallback::Toml("[\"127.0.0.1:5223\"]"),
            Applies::Restart,
            "Clients, TLS from the first byte (XEP-0368).",
        ),
        Key::new(
            "s2s",
            Kind::Addrs,
            Fallback::Toml("[\"127.0.0.1:5269\"]"),
            Applies::Restart,
            "Other servers, with STARTTLS (RFC 6120 §14.7 names the port).",
        ),
        Key::new(
            "s2s_tls",
            Kind::Addrs,
            Fallback::Toml("[\"127.0.0.1:5270\"]"),
            Applies::Restart,
            "Other servers, TLS from the first byte (XEP-0368).",
        ),
        Key::new(
            "components",
            Kind::Addrs,
            Fallback::Toml("[\"127.0.0.1:5347\"]"),
            Applies::Restart,
            "External components (XEP-0114). Their streams are not encrypted, hence loopback.",
        ),
        Key::new(
            "admin",
            Kind::Path,
            Fallback::Unset("`<data_dir>/admin.sock`"),
            Applies::Restart,
            "The UNIX socket of the admin commands, made with mode 0600: who may open it may do \
             everything. At most 107 bytes long, which is what the system can bind.",
        ),
    ],
};

/// `[tls]`
pub(super) static TLS: Section = Section {
    name: "tls",
    doc: "TLS of every listener.",
    list: false,
    keys: &[
        Key::new(
            "required",
            Kind::Bool,
            Fallback::Toml("true"),
            Applies::Restart,
            "Whether a client of `listen.c2s` has to start TLS before it logs in. `false` offers \
             TLS without insisting and is refused unless every address of `listen.c2s` is on \
             loopback: passwords and messages would cross the network in the clear.",
        ),
        Key::new(
            "dir",
            Kind::Path,
            Fallback::Unset("`<data_dir>/certs`"),
            Applies::Reload,
            "The folder of `<host>.crt` (the certificate and its chain, PEM) and `<host>.key`. A \
             host that has none gets a self-signed one there. `balcony reload` reads the files \
             again.",
        ),
    ],
};

/// `[log]`
pub(super) static LOG: Section = Section {
    name: "log",
    doc: "What is written to standard error.",
    list: false,
    keys: &[
        Key::new(
            "format",
            Kind::Choice(&["human", "json"]),
            Fallback::Toml("\"human\""),
            Applies::Restart,
            "`human`: one line for a reader. `json`: one object for each line, for a collector.",
        ),
        Key::new(
            "level",
            Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
            Fallback::Toml("\"info\""),
            Applies::Restart,
            "The least important level that is written. `info` is one line for each event that an \
             operator cares about; `debug` names addresses, so it is for a search and not for \
             every day.",
        ),
    ],
};

/// `[listen]`: where the server accepts connections. An empty list is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Clients, with STARTTLS.
    pub c2s: Vec<SocketAddr>,
    /// Clients, TLS from the first byte (XEP-0368).
    pub c2s_tls: Vec<SocketAddr>,
    /// Other servers, with STARTTLS.
    pub s2s: Vec<SocketAddr>,
    /// Other servers, TLS from the first byte.
    pub s2s_tls: Vec<SocketAddr>,
    /// External components (XEP-0114).
    pub components: Vec<SocketAddr>,
    /// The socket of the admin commands.
    pub admin: PathBuf,
}

impl Listen {
    pub(super) fn new(values: Values<'_>, data_dir: &Path) -> Listen {
        Listen {
            c2s: values.addrs("c2s").to_vec(),
            c2s_tls: values.addrs("c2s_tls").to_vec(),
            s2s: values.addrs("s2s").to_vec(),
            s2s_tls: values.addrs("s2s_tls").to_vec(),
            components: values.addrs("components").to_vec(),
            admin: within(values.path("admin"), data_dir, "admin.sock"),
        }
    }
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether clients have to start TLS before they log in. Default: true.
    pub required: bool,
    /// The folder of the certificates.
    pub dir: PathBuf,
}

impl Tls {
    pub(super) fn new(values: Values<'_>, data_dir: &Path) -> Tls {
        Tls {
            required: values.bool("required"),
            dir: within(values.path("dir"), data_dir, "certs"),
        }
    }
}

fn within(written: Option<&Path>, data_dir: &Path, name: &str) -> PathBuf {
    written.map_or_else(|| data_dir.join(name), Path::to_path_buf)
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a reader.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Default: human.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`. Default: info.
    pub level: &'static str,
}

impl Log {
    pub(super) fn new(values: Values<'_>) -> Log {
        let json = values.choice("format") == "json";
        Log {
            format: if json {
                LogFormat::Json
            } else {
                LogFormat::Human
            },
            level: values.choice("level"),
        }
    }
}
