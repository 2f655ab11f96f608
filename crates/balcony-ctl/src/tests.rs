//! Commands against a socket that answers from a script.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use balcony_admin_api::{
    Account, Answer, Call, Direction, ErrorKind, Invite, Request, Session, TraceLine,
};
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// A server that takes one connection, answers each call with the next answers, and hands back
/// what it was asked.
struct Script {
    folder: PathBuf,
    thread: Option<JoinHandle<Vec<Request>>>,
}

impl Script {
    fn new(answers: Vec<Vec<Answer>>) -> Script {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("balcony-ctl-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("admin.sock")).unwrap();
        let thread = thread::spawn(move || serve(&listener, answers));
        Script {
            folder,
            thread: Some(thread),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    fn asked(mut self) -> Vec<Request> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn serve(listener: &UnixListener, answers: Vec<Vec<Answer>>) -> Vec<Request> {
    let (stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut stream = stream;
    let mut asked = Vec::new();
    for answers in answers {
        let Some(line) = lines.next() else { break };
        asked.push(Call::from_line(&line.unwrap()).unwrap().request);
        for answer in answers {
            stream
                .write_all(answer.to_line().unwrap().as_bytes())
                .unwrap();
        }
    }
    asked
}

/// What a run gave: its text or its error.
fn type_in(socket: &Path, command: &str, input: &str, json: bool) -> Result<String, Error> {
    let words = std::iter::once("balcony").chain(command.split(' '));
    let line = Line::try_parse_from(words).unwrap();
    let mut out = Vec::new();
    let mut input = input.as_bytes();
    let mut context = Context {
        socket: socket.to_path_buf(),
        output: Output::new(&mut out, json, false),
        input: &mut input,
        interactive: command.contains("romeo"),
    };
    execute(&line.command, &mut context)?;
    Ok(String::from_utf8(out).unwrap())
}

fn account(jid: &str) -> Account {
    Account {
        jid: jid.to_owned(),
        disabled: false,
        sessions: 0,
    }
}

#[test]
fn without_a_server_the_socket_and_the_way_out_are_named() {
    let error = type_in(Path::new("/nowhere/admin.sock"), "stats", "", false).unwrap_err();
    assert_eq!(
        error.describe(),
        "error: no server answers on /nowhere/admin.sock: is it running? start it with \
         `balcony serve`"
    );
}

#[test]
fn an_account_is_added_with_a_password_from_standard_input() {
    let script = Script::new(vec![vec![Answer::Done]]);
    let command = "user add juliet@localhost --password-file -";
    let out = type_in(&script.socket(), command, "wherefore\n", false).unwrap();
    assert_eq!(out, "added juliet@localhost\n");
    let password = balcony_admin_api::Secret::new("wherefore");
    let jid = "juliet@localhost".to_owned();
    assert_eq!(script.asked(), [Request::UserAdd { jid, password }]);
}

#[test]
fn without_a_terminal_a_password_is_not_guessed() {
    let script = Script::new(vec![]);
    let error = type_in(&script.socket(), "user add juliet@localhost", "", false).unwrap_err();
    assert!(error.to_string().contains("--password-file"), "{error}");
    assert!(script.asked().is_empty());
}

#[test]
fn a_password_is_no_argument() {
    assert!(Line::try_parse_from(["balcony", "user", "add", "a@b", "secret"]).is_err());
}

#[test]
fn a_refusal_shows_its_hint() {
    let refusal = Answer::error(ErrorKind::Conflict, "it exists").with_hint("use passwd");
    let script = Script::new(vec![vec![refusal.clone()]]);
    let command = "user add juliet@localhost --password-file -";
    let error = type_in(&script.socket(), command, "x", false).unwrap_err();
    assert_eq!(error.describe(), "error: it exists\n hint: use passwd");
    assert_eq!(error.answer(), refusal);
}

#[test]
fn deleting_asks_unless_told_not_to() {
    let script = Script::new(vec![vec![Answer::Done]]);
    let out = type_in(&script.socket(), "user del romeo@localhost", "y\n", false).unwrap();
    assert!(out.ends_with("deleted romeo@localhost\n"), "{out}");
    assert_eq!(script.asked().len(), 1);

    let script = Script::new(vec![]);
    let error = type_in(&script.socket(), "user del romeo@localhost", "\n", false).unwrap_err();
    assert!(matches!(error, Error::Unconfirmed(_)));
    assert!(script.asked().is_empty());

    let script = Script::new(vec![]);
    let error = type_in(&script.socket(), "user del juliet@localhost", "y\n", false).unwrap_err();
    assert!(error.to_string().contains("--yes"), "{error}");

    let script = Script::new(vec![vec![Answer::Done]]);
    type_in(
        &script.socket(),
        "user del juliet@localhost --yes",
        "",
        false,
    )
    .unwrap();
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn a_list_is_read_page_by_page() {
    let page = |jid: &str, more| {
        vec![Answer::Accounts {
            accounts: vec![account(jid)],
            more,
        }]
    };
    let script = Script::new(vec![
        page("juliet@localhost", true),
        page("romeo@localhost", false),
    ]);
    let out = type_in(&script.socket(), "user list localhost", "", false).unwrap();
    assert_eq!(out, "juliet@localhost\nromeo@localhost\n");
    let asked = script.asked();
    assert!(
        matches!(&asked[1], Request::UserList { after: Some(jid), host: Some(_), .. }
        if jid == "juliet@localhost")
    );
}

#[test]
fn an_empty_page_ends_a_list_whatever_it_claims() {
    let script = Script::new(vec![vec![Answer::Accounts {
        accounts: vec![],
        more: true,
    }]]);
    assert_eq!(
        type_in(&script.socket(), "user list", "", false).unwrap(),
        ""
    );
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn sessions_are_a_table() {
    let session = Session {
        jid: "juliet@localhost/balcony".to_owned(),
        connected_seconds: 90,
        idle_seconds: 3,
        address: Some("[::1]:4000".to_owned()),
        tls: Some("1.3".to_owned()),
        mechanism: None,
        client: Some("evil\u{1b}[2J".to_owned()),
        priority: Some(5),
        queue_bytes: 0,
    };
    let script = Script::new(vec![vec![Answer::Sessions {
        sessions: vec![session],
    }]]);
    let out = type_in(
        &script.socket(),
        "user sessions juliet@localhost",
        "",
        false,
    )
    .unwrap();
    assert_eq!(out.lines().count(), 2);
    assert!(out.contains("juliet@localhost/balcony  1m 30s"), "{out}");
    assert!(!out.contains('\u{1b}'));
    let script = Script::new(vec![vec![Answer::Sessions { sessions: vec![] }]]);
    let out = type_in(
        &script.socket(),
        "user sessions juliet@localhost",
        "",
        false,
    )
    .unwrap();
    assert_eq!(out, "juliet@localhost has no session\n");
}

#[test]
fn a_trace_ends_when_the_server_closes() {
    let piece = |direction| {
        Answer::Trace(TraceLine {
            time_micros: 0,
            session: "juliet@localhost/balcony".to_owned(),
            direction,
            text: "<r/>".to_owned(),
        })
    };
    let script = Script::new(vec![vec![piece(Direction::Read), piece(Direction::Wrote)]]);
    let out = type_in(&script.socket(), "user trace juliet@localhost", "", false).unwrap();
    assert_eq!(out.lines().count(), 3, "{out}");
}

#[test]
fn json_shows_the_answers_as_they_come() {
    let invite = Answer::Invite(Invite {
        host: "localhost".to_owned(),
        token: "t".to_owned(),
        uri: "xmpp:localhost?register;preauth=t".to_owned(),
        expires: None,
    });
    let script = Script::new(vec![vec![invite.clone()]]);
    let out = type_in(
        &script.socket(),
        "invite create localhost --days 2",
        "",
        true,
    )
    .unwrap();
    assert_eq!(out, invite.to_line().unwrap());
    let host = "localhost".to_owned();
    assert_eq!(
        script.asked(),
        [Request::InviteCreate {
            host,
            expires_seconds: Some(172_800)
        }]
    );
}

#[test]
fn a_reload_of_a_faulty_file_is_an_error_with_every_fault() {
    let answer = Answer::Reloaded {
        changed: vec![],
        needs_restart: vec![],
        problems: vec!["b.toml:1:1: x".to_owned(), "b.toml:2:1: y".to_owned()],
    };
    let script = Script::new(vec![vec![answer]]);
    let error = type_in(&script.socket(), "reload", "", false).unwrap_err();
    assert!(error.describe().contains("b.toml:2:1: y"));
    let answer = Answer::Reloaded {
        changed: vec!["host".to_owned()],
        needs_restart: vec!["listen.c2s".to_owned()],
        problems: vec![],
    };
    let script = Script::new(vec![vec![answer]]);
    let out = type_in(&script.socket(), "reload", "", false).unwrap();
    assert_eq!(
        out,
        "reloaded; now in force: host\nneeds a restart: listen.c2s\n"
    );
}

#[test]
fn a_server_that_goes_away_or_talks_nonsense_is_an_error() {
    let script = Script::new(vec![vec![]]);
    let error = type_in(&script.socket(), "stats", "", false).unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
    let script = Script::new(vec![vec![Answer::Done]]);
    let error = type_in(&script.socket(), "stats", "", false).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}
