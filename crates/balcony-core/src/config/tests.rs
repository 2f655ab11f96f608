//! Whole files: what is read, what is complained of, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

static TURN: Section = Section {
    name: "turn",
    doc: "A relay.",
    list: false,
    keys: &[
        Key::new(
            "ttl",
            Kind::Duration {
                min: 60,
                max: 86_400,
            },
            Fallback::Toml("\"12h\""),
            Applies::Reload,
            "How long a credential is good for.",
        ),
        Key::new(
            "secret",
            Kind::Secret,
            Fallback::Unset("off"),
            Applies::Reload,
            "Shared.",
        ),
    ],
};
static MORE_OF_HOST: Section = Section {
    name: "host",
    doc: "",
    list: true,
    keys: &[Key::new(
        "abuse",
        Kind::Strs,
        Fallback::Toml("[]"),
        Applies::Reload,
        "Where to complain (XEP-0157).",
    )],
};

fn read(text: &str) -> Result<Config, Vec<String>> {
    Config::parse(
        text,
        Some(Path::new("balcony.toml")),
        &[&TURN, &MORE_OF_HOST],
    )
    .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err()
}

#[test]
fn declarations_are_sound() {
    assert_eq!(declaration_faults(&[&TURN, &MORE_OF_HOST]), [] as [&str; 0]);
    static TWICE: Section = Section {
        name: "turn",
        ..TURN_AGAIN
    };
    const TURN_AGAIN: Section = Section {
        name: "",
        doc: "",
        list: true,
        keys: &[Key::new(
            "ttl",
            Kind::Bool,
            Fallback::Toml("5"),
            Applies::Reload,
            "",
        )],
    };
    assert_eq!(declaration_faults(&[&TURN, &TWICE]).len(), 3);
}

#[test]
fn the_example_of_the_contract_is_read() {
    let config = read(
        r#"
data_dir = "/var/lib/balcony"
[listen]
c2s = ["127.0.0.1:5222"]
c2s_tls = ["127.0.0.1:5223"]
s2s = ["127.0.0.1:5269"]
s2s_tls = ["127.0.0.1:5270"]
components = ["127.0.0.1:5347"]
admin = "/run/balcony/admin.sock"
[tls]
required = true
dir = "/etc/balcony/certs"
[[host]]
name = "localhost"
registration = "closed"
admins = ["admin@localhost"]
"#,
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/balcony"));
    assert_eq!(config.listen.admin, Path::new("/run/balcony/admin.sock"));
    assert_eq!(config.tls.dir, Path::new("/etc/balcony/certs"));
    assert_eq!(config.hosts[0].admins[0].as_str(), "admin@localhost");
    assert_eq!(config.muc.hosts, ["conference.localhost"]);
}

#[test]
fn an_empty_file_says_what_the_defaults_say() {
    let empty = Config::parse("", None, &[]).unwrap();
    let default = Config::default();
    assert_eq!(format!("{empty:?}"), format!("{default:?}"));
    assert_eq!(default.data_dir, Path::new("./balcony-data"));
    assert_eq!(default.listen.admin, Path::new("./balcony-data/admin.sock"));
    assert_eq!(
        default.tls,
        Tls {
            required: true,
            dir: PathBuf::from("./balcony-data/certs")
        }
    );
    assert_eq!(default.hosts.len(), 1);
    assert_eq!(default.hosts[0].name, "localhost");
    assert_eq!(default.hosts[0].registration, Registration::Closed);
    assert!(!default.auth.mechanisms.contains(&"PLAIN"));
    assert_eq!(default.workers, None);
    assert_eq!(
        default.log,
        Log {
            format: LogFormat::Human,
            level: "info"
        }
    );
}

#[test]
fn the_default_limits_are_those_of_the_scanner() {
    let limits = Config::default().limits;
    assert_eq!(
        limits.after_login,
        balcony_proto::limits::Limits::AFTER_LOGIN
    );
    assert_eq!(
        limits.before_login,
        balcony_proto::limits::Limits::BEFORE_LOGIN
    );
    assert_eq!(limits.login_attempts, 5);
    assert_eq!(limits.timeouts.negotiation, Duration::from_secs(60));
}

#[test]
fn every_default_mechanism_is_known_to_sasl() {
    for name in Config::default().auth.mechanisms {
        assert!(
            balcony_proto::sasl::Mechanism::parse(name).is_some(),
            "{name}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let told = problems(
        "data_dri = '/x'\n[listne]\nc2s = []\n[tls]\nrequired = 'yes'\niterations = 5\n\
         [[host]]\nnmae = 'localhost'\nregistration = 'opne'\n[limits]\nstanza = 5\n",
    );
    assert_eq!(
        told,
        [
            "balcony.toml:1:1: data_dri: unknown key; did you mean \"data_dir\"?",
            "balcony.toml:2:2: listne: unknown section; did you mean [listen]?",
            "balcony.toml:5:12: tls.required: must be true or false, not \"yes\"",
            "balcony.toml:6:1: tls.iterations: unknown key; it belongs to [auth]",
            "balcony.toml:7:1: host.name: must be written",
            "balcony.toml:8:1: host.nmae: unknown key; did you mean \"name\"?",
            "balcony.toml:9:16: host.registration: must be \"closed\" or \"invite\" or \"open\", \
             not \"opne\"; did you mean \"open\"?",
            "balcony.toml:11:10: limits.stanza: must be at least 10000B",
        ]
    );
}

#[test]
fn brackets_of_a_section_are_corrected() {
    assert_eq!(
        problems("[host]\nname = 'localhost'\n"),
        ["balcony.toml:1:1: host: may stand several times; write it as [[host]]"]
    );
    assert_eq!(
        problems("[[tls]]\n"),
        ["balcony.toml:1:1: tls: stands only once; write it as [tls]"]
    );
    assert_eq!(problems("tls = true\n").len(), 1);
    assert_eq!(problems("host = ['localhost']\n").len(), 1);
}

#[test]
fn syntax_errors_are_told_with_what_can_be_trusted() {
    let told = problems("[tls]\nrequird = true\nrequired = true\nrequired = false\n");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("balcony.toml:2:1: tls.requird"));
    assert!(told[1].starts_with("balcony.toml:4:1: not TOML: duplicate key"));
    // Behind the open bracket nothing is sure.
    let told = problems("workrs = 1\n[tls\nrequired = 5\nunknown = 1\n");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("balcony.toml:2:"));
}

#[test]
fn tls_may_be_optional_only_on_loopback() {
    assert!(read("[tls]\nrequired = false\n").is_ok());
    assert!(read("[tls]\nrequired = false\n[listen]\nc2s = ['[::1]:1', '127.9.9.9:1']\n").is_ok());
    assert!(read("[tls]\nrequired = false\n[listen]\nc2s_tls = ['0.0.0.0:5223']\n").is_ok());
    let told = problems("[listen]\nc2s = ['127.0.0.1:1', '0.0.0.0:1']\n[tls]\nrequired = false\n");
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("balcony.toml:4:1: tls.required: "),
        "{told:?}"
    );
    assert!(told[0].contains("0.0.0.0:1 is not"), "{told:?}");
}

#[test]
fn a_domain_has_one_owner() {
    let told = problems(
        "[[host]]\nname = 'Example.org'\n[[host]]\nname = 'example.org'\n\
         [[component]]\nname = 'example.org'\nsecret = 's'\n[muc]\nhosts = ['example.org']\n",
    );
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("balcony.toml:4:1: host.name: "));
    let config = read("[[host]]\nname='a.org'\n[[host]]\nname='conference.a.org'\n").unwrap();
    assert_eq!(config.muc.hosts, ["conference.conference.a.org"]);
    assert!(read("[muc]\nhosts = []\n").unwrap().muc.hosts.is_empty());
}

#[test]
fn names_of_hosts_are_domainparts() {
    assert_eq!(problems("[[host]]\nname = 'romeo@localhost'\n").len(), 1);
    assert_eq!(problems("[[host]]\nname = ''\n").len(), 1);
}

#[test]
fn a_host_that_nobody_can_log_in_to_is_refused() {
    let host = "[[host]]\nname = 'localhost'\nmechanisms = []\n";
    assert_eq!(problems(host).len(), 1);
    assert!(read(&format!("{host}anonymous = true\n")).is_ok());
    let told = problems("[auth]\nmechanisms = []\n");
    assert!(
        told[0].starts_with("balcony.toml:2:1: auth.mechanisms: nobody"),
        "{told:?}"
    );
}

#[test]
fn a_stanza_has_to_fit_into_the_queue() {
    assert_eq!(problems("[limits]\nstanza = '4MiB'\n").len(), 1);
    assert!(read("[limits]\nstanza = '4MiB'\nsession_queue = '8MiB'\n").is_ok());
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let told = problems("[auth]\ntoken_lifetime = '1d'\n");
    assert!(
        told[0].starts_with("balcony.toml:2:1: auth.token_lifetime: "),
        "{told:?}"
    );
    let told = problems("[auth]\ntoken_lifetime = '2h'\ntoken_renewal = '3h'\n");
    assert!(
        told[0].starts_with("balcony.toml:3:1: auth.token_renewal: "),
        "{told:?}"
    );
    assert!(read("[auth]\ntoken_lifetime = '3h'\ntoken_renewal = '2h'\n").is_ok());
}

#[test]
fn the_archive_keeps_what_waits() {
    for archive in ["keep = '89d'", "bytes = '7MiB'"] {
        let told = problems(&format!("[archive]\n{archive}\n"));
        assert!(
            told[0].starts_with("balcony.toml:2:1: archive."),
            "{told:?}"
        );
        assert_eq!(told.len(), 1);
        let none = format!("[archive]\n{archive}\n[offline]\nmessages = 0\n");
        assert!(read(&none).is_ok());
    }
    let told = problems("[offline]\nkeep = '200d'\nbytes = '1GiB'\n");
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(": offline.keep: "), "{told:?}");
    let small = "[archive]\nkeep = '1d'\nbytes = '1MiB'\n\
                 [offline]\nkeep = '1d'\nbytes = '1MiB'\n";
    assert!(read(small).is_ok());
}

#[test]
fn a_socket_path_that_the_system_cannot_bind_is_refused() {
    let told = problems(&format!("data_dir = '/{}'\n", "x".repeat(120)));
    assert!(
        told[0].starts_with("balcony.toml:1:1: data_dir: "),
        "{told:?}"
    );
}

#[test]
fn modules_read_their_keys_by_section() {
    let config = read("[turn]\nttl = '1h'\n[[host]]\nname = 'a.org'\nabuse = ['x']\n").unwrap();
    assert_eq!(
        config.values("turn").duration("ttl"),
        Duration::from_secs(3_600)
    );
    assert_eq!(config.values("turn").secret("secret"), None);
    assert_eq!(config.host_values("a.org").unwrap().texts("abuse"), ["x"]);
    assert!(config.host_values("b.org").is_none());
    let config = read("").unwrap();
    assert_eq!(
        config.values("turn").duration("ttl"),
        Duration::from_secs(43_200)
    );
    assert_eq!(
        config.host_values("localhost").unwrap().texts("abuse"),
        [] as [&str; 0]
    );
}

#[test]
fn relative_paths_begin_at_the_folder_of_the_file() {
    let config = Config::parse("data_dir = 'd'", Some(Path::new("/etc/b/c.toml")), &[]).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/b/d"));
    assert_eq!(config.listen.admin, Path::new("/etc/b/d/admin.sock"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_name() {
    let told = Config::load(Some(Path::new("/nowhere/balcony.toml")), &[]).unwrap_err();
    assert!(
        told[0]
            .to_string()
            .starts_with("/nowhere/balcony.toml: cannot be read: ")
    );
}

#[test]
fn the_admin_socket_is_found_in_a_file_with_other_faults() {
    let folder = std::env::temp_dir().join(format!("balcony-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("balcony.toml");
    std::fs::write(
        &file,
        "data_dir = 'd'\n[turn]\nx = 1\n[limits]\nstanza = 5\n",
    )
    .unwrap();
    assert_eq!(
        Config::admin_socket(Some(&file)).unwrap(),
        folder.join("d/admin.sock")
    );
    std::fs::write(&file, "data_dir = 5\n").unwrap();
    assert_eq!(Config::admin_socket(Some(&file)).unwrap_err().len(), 1);
    std::fs::write(&file, "data_dir = 'd\n").unwrap();
    assert_eq!(Config::admin_socket(Some(&file)).unwrap_err().len(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn changes_say_what_needs_a_restart() {
    let old = read("").unwrap();
    let new = read("workers = 2\n[listen]\nc2s = []\n[turn]\nttl = '1h'\n").unwrap();
    let told = Config::changes(&old, &new);
    assert_eq!(told.len(), 3);
    assert_eq!(
        Config::changes_needing_restart(&old, &new),
        ["workers", "listen.c2s"]
    );
    let hosts = read("[[host]]\nname = 'a.org'\n").unwrap();
    assert_eq!(
        Config::changes(&old, &hosts),
        [Change {
            key: "host".to_owned(),
            needs_restart: false
        }]
    );
    assert!(Config::changes(&old, &read("[[host]]\nname = 'localhost'\n").unwrap()).is_empty());
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    let text = reference(&[&TURN, &MORE_OF_HOST]);
    for section in schema(&[&TURN, &MORE_OF_HOST]).names() {
        for key in schema(&[&TURN, &MORE_OF_HOST]).keys(section) {
            assert!(
                text.contains(&format!("| `{}` | ", key.name)),
                "{}",
                key.name
            );
            assert!(!key.doc.is_empty(), "{}", key.name);
        }
    }
    assert!(text.contains("## `[[component]]`"));
    assert_eq!(text.matches("## `[[host]]`").count(), 1);
}

#[test]
fn secrets_stay_out_of_what_debug_shows() {
    let config = read("[[component]]\nname = 'c.org'\nsecret = 'wherefore'\n").unwrap();
    assert_eq!(config.components[0].secret.reveal(), "wherefore");
    assert!(!format!("{config:?}").contains("wherefore"));
}

/// XEP-0356 §7.4, XEP-0355 §8
#[test]
fn grants_are_for_components_and_hosts_that_are_there() {
    let component = "[[component]]\nname = 'c.org'\nsecret = 's'\n";
    let told = problems(&format!("{component}[[privilege]]\ncomponent = 'd.org'\n"));
    assert!(
        told[0].contains("privilege.component: no [[component]]"),
        "{told:?}"
    );
    let grant = format!("{component}[[privilege]]\ncomponent = 'c.org'\n");
    let told = problems(&format!("{grant}hosts = ['a.org']\n"));
    assert!(told[0].contains("privilege.hosts: no [[host]]"), "{told:?}");
    let told = problems(&format!("{grant}roster = 'set'\npresence = 'roster'\n"));
    assert!(told[0].contains("privilege.presence: "), "{told:?}");
    let config = read(&format!("{grant}roster = 'get'\npresence = 'roster'\n")).unwrap();
    assert!(config.privileges[0].roster_pushes && config.privileges[0].is_for("localhost"));
    let delegation = format!("{component}[[delegation]]\ncomponent = 'c.org'\nnamespace = ");
    let told = problems(&format!("{delegation}'urn:xmpp:delegation:2'\n"));
    assert!(told[0].contains("delegation.namespace: "), "{told:?}");
    assert!(
        read(&format!(
            "{delegation}'urn:xmpp:delegation:2:bare:disco#info:*'\n"
        ))
        .is_ok()
    );
}
