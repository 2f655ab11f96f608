//! A disk that is full, read-only or broken, and a clock that jumps, under the real server: what
//! cannot be kept is refused, what was not refused is kept, and when the fault ends it goes on.

use balcony_proto::xep::date_time;
use balcony_testkit::power::{Fault, Power};
use balcony_testkit::run::{Balcony, Launch};

use crate::client::{Client, PASSWORD};
use crate::durability::built;

/// A server under which a disk and a clock can fail, with Romeo and Juliet.
struct Subject {
    server: Balcony,
    power: Power,
}

impl Subject {
    fn start() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let mut power = Power::over(&folder.path().join("data")).unwrap();
        let mut launch = Launch::of(&built());
        launch.environment = power.environment();
        power.begin().unwrap();
        let config = "[tls]\nrequired = false\n[auth]\niterations = 4096\n\
                      [limits]\nrate = \"1GiB\"\nburst = \"1GiB\"\n";
        let server = Balcony::launch_in(folder, launch, config).unwrap();
        for name in ["romeo", "juliet"] {
            let account = format!("{name}@localhost");
            server.add_account(&account, PASSWORD).unwrap();
        }
        Subject { server, power }
    }

    fn online(&self, name: &str) -> Client {
        Client::online(self.server.plain, name)
    }
}

/// Sends a message, and waits until it is handled. The error, if that is what became of it.
fn send(romeo: &mut Client, text: &str, bytes: usize) -> Option<String> {
    let padding = "x".repeat(bytes);
    romeo.send(&format!(
        "<message to='juliet@localhost' type='chat' id='{text}'><body>{text};{padding}</body></message>"
    ));
    romeo.send("<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>");
    let came = romeo.until("id='ping'") + &romeo.until("/>");
    let begin = came.find("<error")?;
    let end = came[begin..].find("</error>")?;
    Some(came[begin..begin + end].to_owned())
}

/// The first words of all messages in the client's archive, in order, and their stamps.
fn archive(client: &mut Client) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        client.send(&format!(
            "<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>10</max>{after}</set></query></iq>"
        ));
        let page = client.until("</fin>");
        for result in page.split("<result ").skip(1) {
            let between = |start: &str, end: &str| {
                let (_, rest) = result.split_once(start).unwrap();
                rest.split_once(end).unwrap().0.to_owned()
            };
            let stamp = date_time::parse(&between("stamp='", "'")).unwrap();
            found.push((between("<body>", ";"), stamp));
        }
        let Some((_, last)) = page
            .split_once("<last>")
            .filter(|_| !page.contains("complete="))
        else {
            return found;
        };
        after = format!("<after>{}</after>", last.split_once('<').unwrap().0);
    }
}

fn words(archive: &[(String, i64)]) -> Vec<&str> {
    archive.iter().map(|(word, _)| word.as_str()).collect()
}

/// Has the disk fail while messages are sent; answers the errors that came. What got none must be
/// in both archives after a crash, once, and what got one must not.
fn through(fault: Fault) -> Vec<String> {
    let mut subject = Subject::start();
    let mut romeo = subject.online("romeo");
    let juliet = subject.online("juliet");
    assert_eq!(send(&mut romeo, "before", 10), None);
    let mut kept = vec!["before".to_owned()];
    let mut errors = Vec::new();
    subject.power.fault(fault).unwrap();
    // A file has room left here and there, so that some may pass on a full disk.
    for number in 0..30 {
        let text = format!("during{number}");
        match send(&mut romeo, &text, 20_000) {
            Some(error) => errors.push(error),
            None => kept.push(text),
        }
        if errors.len() == 5 {
            break;
        }
    }
    subject.power.fault(Fault::None).unwrap();
    assert_eq!(send(&mut romeo, "after", 10), None, "nobody had to help");
    kept.push("after".to_owned());
    drop((romeo, juliet));
    subject.server.kill_and_restart().unwrap();
    for name in ["romeo", "juliet"] {
        let mut client = Client::login(subject.server.plain, name);
        assert_eq!(words(&archive(&mut client)), kept, "{name}");
    }
    errors
}

/// RFC 6120 §8.3.3.18
#[test]
fn on_a_full_disk_messages_are_refused_for_now_and_nothing_else_is_lost() {
    let errors = through(Fault::Full);
    assert_eq!(errors.len(), 5);
    for error in errors {
        assert!(error.contains("type='wait'"), "{error}");
        assert!(error.contains("<resource-constraint "), "{error}");
    }
}

#[test]
fn on_a_read_only_disk_messages_are_refused_and_nothing_else_is_lost() {
    assert_eq!(through(Fault::ReadOnly).len(), 5);
}

#[test]
fn on_a_broken_disk_messages_are_refused_and_nothing_else_is_lost() {
    assert_eq!(through(Fault::Broken).len(), 5);
}

#[test]
fn a_server_that_stands_still_acknowledges_nothing_and_goes_on() {
    let subject = Subject::start();
    let mut juliet = subject.online("juliet");
    let mut romeo = subject.online("romeo");
    romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    romeo.until("<enabled ");
    romeo.until("/>");
    subject.server.signal("STOP").unwrap();
    // Its threads take a moment to stand still.
    assert_eq!(romeo.silence(), "");
    romeo.send("<message to='juliet@localhost' type='chat'><body>one</body></message>");
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(romeo.silence(), "");
    assert_eq!(juliet.silence(), "");
    subject.server.signal("CONT").unwrap();
    juliet.until("<body>one</body>");
    // What is handled by now is said at once, and the rest when it is.
    while !romeo.until("/>").contains("h='1'") {
        romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    }
    juliet.ping();
}

/// XEP-0313 §3.1: an archive is in chronological order.
#[test]
fn a_clock_that_jumps_back_does_not_turn_the_archive_around() {
    const HOUR: i64 = 3_600;
    let subject = Subject::start();
    let mut romeo = subject.online("romeo");
    for (text, offset) in [("noon", 0), ("late", HOUR), ("early", -HOUR), ("again", 0)] {
        subject.power.clock(offset).unwrap();
        assert_eq!(send(&mut romeo, text, 10), None);
    }
    let kept = archive(&mut romeo);
    assert_eq!(words(&kept), ["noon", "late", "early", "again"]);
    assert!(kept.is_sorted_by_key(|(_, stamp)| *stamp), "{kept:?}");
    let hours = (kept[1].1 - kept[0].1) / (HOUR * 1_000_000);
    assert_eq!(hours, 1, "the clock did jump");
    // They waited, and say since when: never for longer than the clock was wrong.
    let mut juliet = subject.online("juliet");
    let came = juliet.until("<body>again;") + &juliet.until("</message>");
    let delays: Vec<i64> = came
        .split("<delay ")
        .skip(1)
        .map(|delay| {
            let (_, stamp) = delay.split_once("stamp='").unwrap();
            date_time::parse(stamp.split_once('\'').unwrap().0).unwrap()
        })
        .collect();
    assert_eq!(delays.len(), 4, "{came}");
    for delay in delays {
        assert!((delay - kept[0].1).abs() < 2 * HOUR * 1_000_000, "{delay}");
    }
}
