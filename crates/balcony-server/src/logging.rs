//! The log: one line for each event that an operator cares about, for people or as JSON.

use std::io::IsTerminal;

use balcony_core::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts the log on standard error. `BALCONY_LOG` overrules the configured level, with the
/// directives of `tracing-subscriber`'s filter: `balcony_net=debug`, say.
pub(crate) fn start(log: &Log) {
    let filter =
        EnvFilter::try_from_env("BALCONY_LOG").unwrap_or_else(|_| EnvFilter::new(ours(log.level)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second server in one process, as in tests, keeps the first one's log.
    let _ = match log.format {
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal();
            builder.with_target(false).with_ansi(colours).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// What the libraries say of each packet helps nobody who searches in this server.
fn ours(level: &str) -> String {
    let quiet = ["hickory_net", "hickory_proto", "hickory_resolver", "rustls"];
    let quiet = quiet.map(|library| format!(",{library}=error"));
    format!("{level}{}", quiet.concat())
}
