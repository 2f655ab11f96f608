use super::config::AllowPm;
use super::view::{Said, code};
use super::*;

use balcony_proto::ns;
use balcony_proto::stanza::{Condition, MessageType, PresenceType, StanzaError};
use balcony_proto::xml::Element;

const NOW: i64 = 1_000_000_000;

const RATES: Rates<'static> = Rates {
    messages: Rate {
        per_minute: 60,
        burst: 10,
    },
    presence: Rate {
        per_minute: 60,
        burst: 10,
    },
    hosts: &[],
};

/// A room, and what its occupants got since anybody looked.
struct Play {
    room: State,
    out: Out,
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn play(config: Config) -> Play {
    let jid = jid("coven@chat.localhost");
    let mut room = State::new(jid.clone(), config, [7; 64]);
    for (who, affiliation) in [
        ("crone1@localhost", Affiliation::Owner),
        ("wiccarocks@localhost", Affiliation::Admin),
        ("hag66@localhost", Affiliation::Member),
        ("banned.example", Affiliation::Outcast),
    ] {
        let listed = Listed {
            affiliation,
            nick: None,
            reason: None,
        };
        room.enlist(&Jid::parse(who).unwrap(), Some(listed));
    }
    let out = Out::default();
    Play { room, out }
}

impl Play {
    fn enter_with(&mut self, who: &str, nick: &str, x: Element) -> Result<(), Condition> {
        let session = jid(who);
        let presence = Stanza::presence(PresenceType::Available).with_element(x);
        let entry = Entry {
            session: &session,
            nick,
            presence: &presence,
            max_users: 10,
            now: NOW,
            created: false,
        };
        let entered = self.room.enter(&entry, &mut self.out);
        entered.map_err(|error: StanzaError| error.condition)
    }

    fn enter(&mut self, who: &str, nick: &str) -> Result<(), Condition> {
        self.enter_with(who, nick, Element::new(ns::MUC, "x"))
    }

    fn say(&mut self, who: &str, text: &str) -> Result<(), Condition> {
        let body = Element::new(ns::CLIENT, "body").with_text(text);
        let message = Stanza::message(MessageType::Groupchat).with_element(body);
        let spoken = self.room.speak(&jid(who), &message, NOW, &RATES);
        let spoken = spoken.map_err(|error| error.condition)?;
        self.room.spoken(spoken, NOW, true, &mut self.out);
        Ok(())
    }

    fn ask(&mut self, who: &str, item: &str) -> Result<(), Condition> {
        let text = format!("<query xmlns='{}'>{item}</query>", ns::MUC_ADMIN);
        let query = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        let plan = self.room.plan(&jid(who), &query);
        let plan = plan.map_err(|error| error.condition)?;
        self.room.carry_out(&plan, &mut self.out);
        Ok(())
    }

    /// What came since the last look: who gets what from whom, in a few words.
    fn got(&mut self) -> Vec<String> {
        let stanzas = std::mem::take(&mut self.out.stanzas);
        stanzas.iter().map(told).collect()
    }
}

/// A stanza in a few words: to whose resource, from which nickname, and what.
fn told(stanza: &Stanza) -> String {
    let part = |jid: &Option<Jid>| {
        let jid = jid.as_ref().unwrap();
        jid.resource().unwrap_or("room").to_owned()
    };
    let mut words = vec![format!("{}: {}", part(&stanza.to), part(&stanza.from))];
    if let Some(body) = stanza.body() {
        words.push(body);
    }
    if let Some(subject) = stanza.payload.find(ns::CLIENT, "subject") {
        words.push(format!("subject '{}'", subject.text()));
    }
    if stanza.payload.find(ns::DELAY, "delay").is_some() {
        words.push("before".to_owned());
    }
    if stanza.kind == balcony_proto::stanza::Kind::Presence(PresenceType::Unavailable) {
        words.push("gone".to_owned());
    }
    if let Some(x) = stanza.payload.find(ns::MUC_USER, "x") {
        for child in x.element().children() {
            let attrs = ["affiliation", "role", "jid", "nick", "code"];
            let values = attrs.into_iter().filter_map(|name| child.attr(name));
            words.extend(values.map(str::to_owned));
        }
    }
    words.join(" ")
}

#[test]
fn who_enters_learns_everything_in_its_order() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.say("crone1@localhost/desktop", "Thrice").unwrap();
    play.got();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    assert_eq!(
        play.got(),
        [
            "pda: firstwitch owner moderator",
            "desktop: thirdwitch member participant hag66@localhost/pda",
            "pda: thirdwitch member participant hag66@localhost/pda 170 110",
            "pda: firstwitch Thrice before",
            "pda: room subject ''",
        ]
    );
}

#[test]
fn real_addresses_are_for_moderators_where_the_room_is_semi_anonymous() {
    let open = Config {
        non_anonymous: true,
        archive: false,
        ..Config::default()
    };
    for (config, seen) in [
        (Config::default(), "pda: stranger none participant"),
        (open, "pda: stranger none participant x@far.example/y"),
    ] {
        let mut play = play(config);
        play.enter("wiccarocks@localhost/laptop", "secondwitch")
            .unwrap();
        play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
        play.got();
        play.enter("x@far.example/y", "stranger").unwrap();
        let got = play.got();
        assert!(got.contains(&seen.to_owned()), "{got:?}");
        let moderator = "laptop: stranger none participant x@far.example/y".to_owned();
        assert!(got.contains(&moderator), "{got:?}");
    }
}

#[test]
fn who_may_not_enter_is_told_why_and_nobody_else_hears_of_it() {
    let closed = Config {
        members_only: true,
        ..Config::default()
    };
    let secret = Config {
        password: Some("cauldronburn".to_owned()),
        ..Config::default()
    };
    let small = Config {
        max_users: Some(1),
        ..Config::default()
    };
    let cases = [
        (
            Config::default(),
            "a@banned.example/x",
            "witch",
            Condition::Forbidden,
        ),
        (
            closed,
            "x@far.example/y",
            "witch",
            Condition::RegistrationRequired,
        ),
        (
            secret,
            "hag66@localhost/pda",
            "witch",
            Condition::NotAuthorized,
        ),
        (
            small,
            "hag66@localhost/pda",
            "witch",
            Condition::ServiceUnavailable,
        ),
        (
            Config::default(),
            "hag66@localhost/pda",
            "FirstWitch",
            Condition::Conflict,
        ),
    ];
    for (config, who, nick, condition) in cases {
        let mut play = play(config);
        play.enter("crone1@localhost/desktop", "firstwitch")
            .unwrap();
        play.got();
        assert_eq!(play.enter(who, nick), Err(condition), "{who} as {nick}");
        assert!(play.got().is_empty() && play.room.seated(&jid(who)).is_none());
    }
    let mut play = play(Config::default());
    play.room.locked = true;
    assert_eq!(
        play.enter("hag66@localhost/pda", "witch"),
        Err(Condition::ItemNotFound)
    );
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
}

#[test]
fn sessions_of_one_account_share_a_nickname() {
    let mut play = play(Config::default());
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.got();
    play.enter("hag66@localhost/broom", "thirdwitch").unwrap();
    let got = play.got();
    assert!(got[0].starts_with("broom: firstwitch"), "{got:?}");
    assert!(
        got.iter()
            .any(|line| line.starts_with("pda: thirdwitch") && line.ends_with("110"))
    );
    play.say("hag66@localhost/pda", "Eye of newt").unwrap();
    assert_eq!(
        play.got(),
        [
            "desktop: firstwitch Eye of newt",
            "pda: thirdwitch Eye of newt",
            "broom: thirdwitch Eye of newt",
        ]
        .map(|line| line.replace("firstwitch Eye", "thirdwitch Eye"))
    );
    // One goes, and the occupant stays.
    let (room, out) = (&mut play.room, &mut play.out);
    assert!(room.leave(&jid("hag66@localhost/broom"), None, Said::default(), out));
    let got = play.got();
    assert_eq!(
        got[0],
        "broom: thirdwitch gone member none hag66@localhost/broom 110"
    );
    assert!(
        got[1..].iter().all(|line| !line.contains("gone")),
        "{got:?}"
    );
    let (room, out) = (&mut play.room, &mut play.out);
    assert!(room.leave(&jid("hag66@localhost/pda"), None, Said::default(), out));
    assert_eq!(
        play.got(),
        [
            "pda: thirdwitch gone member none hag66@localhost/pda 110",
            "desktop: thirdwitch gone member none hag66@localhost/pda",
        ]
    );
}

#[test]
fn a_nickname_is_changed_before_the_eyes_of_all() {
    let mut play = play(Config::default());
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.got();
    let (room, out) = (&mut play.room, &mut play.out);
    let conflict = room.rename(&jid("hag66@localhost/pda"), "firstwitch", out);
    assert_eq!(conflict.unwrap_err().condition, Condition::Conflict);
    room.rename(&jid("hag66@localhost/pda"), "oldhag", out)
        .unwrap();
    assert_eq!(
        play.got(),
        [
            "desktop: thirdwitch gone member participant hag66@localhost/pda oldhag 303",
            "pda: thirdwitch gone member participant hag66@localhost/pda oldhag 303 110",
            "desktop: oldhag member participant hag66@localhost/pda",
            "pda: oldhag member participant hag66@localhost/pda 110",
        ]
    );
    assert!(play.room.named("thirdwitch").is_none());
}

#[test]
fn visitors_hear_and_do_not_speak() {
    let moderated = Config {
        moderated: true,
        ..Config::default()
    };
    let mut play = play(moderated);
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("x@far.example/y", "stranger").unwrap();
    assert_eq!(
        play.say("x@far.example/y", "Hail"),
        Err(Condition::Forbidden)
    );
    assert_eq!(
        play.say("z@far.example/y", "Hail"),
        Err(Condition::NotAcceptable)
    );
    play.ask(
        "crone1@localhost/desktop",
        "<item nick='stranger' role='participant'/>",
    )
    .unwrap();
    play.say("x@far.example/y", "Hail").unwrap();
}

#[test]
fn a_kick_is_told_to_whom_it_concerns() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.got();
    let kick = "<item nick='thirdwitch' role='none'><reason>Avaunt</reason></item>";
    assert_eq!(
        play.ask("hag66@localhost/pda", kick),
        Err(Condition::Forbidden)
    );
    play.ask("crone1@localhost/desktop", kick).unwrap();
    assert_eq!(
        play.got(),
        [
            "pda: thirdwitch gone member none hag66@localhost/pda 307 110",
            "desktop: thirdwitch gone member none hag66@localhost/pda 307",
        ]
    );
    let unknown = "<item nick='nobody' role='none'/>";
    assert_eq!(
        play.ask("crone1@localhost/desktop", unknown),
        Err(Condition::ItemNotFound)
    );
}

#[test]
fn a_ban_puts_out_and_stays() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("x@far.example/y", "stranger").unwrap();
    play.got();
    play.ask(
        "crone1@localhost/desktop",
        "<item jid='far.example' affiliation='outcast'/>",
    )
    .unwrap();
    assert_eq!(
        play.got(),
        [
            "y: stranger gone outcast none x@far.example/y 301 110",
            "desktop: stranger gone outcast none x@far.example/y 301",
        ]
    );
    assert_eq!(
        play.enter("x@far.example/y", "stranger"),
        Err(Condition::Forbidden)
    );
}

#[test]
fn nothing_is_changed_when_a_part_may_not_be() {
    let mut play = play(Config::default());
    play.enter("wiccarocks@localhost/laptop", "secondwitch")
        .unwrap();
    play.got();
    let both = "<item jid='x@far.example' affiliation='member'/>\
                <item jid='crone1@localhost' affiliation='none'/>";
    assert_eq!(
        play.ask("wiccarocks@localhost/laptop", both),
        Err(Condition::NotAllowed)
    );
    assert_eq!(
        play.room.affiliation(&jid("x@far.example")),
        Affiliation::None
    );
    let last = "<item jid='crone1@localhost' affiliation='admin'/>";
    assert_eq!(
        play.ask("crone1@localhost/desktop", last),
        Err(Condition::Conflict)
    );
    // §9.1
    let own = "<item jid='wiccarocks@localhost' affiliation='outcast'/>";
    assert_eq!(
        play.ask("wiccarocks@localhost/laptop", own),
        Err(Condition::Conflict)
    );
    assert!(play.got().is_empty());
}

#[test]
fn an_affiliation_brings_its_role() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("x@far.example/y", "stranger").unwrap();
    play.got();
    let make = |what: &str| format!("<item jid='x@far.example' affiliation='{what}'/>");
    for (affiliation, seen) in [
        ("admin", "desktop: stranger admin moderator x@far.example/y"),
        (
            "member",
            "desktop: stranger member participant x@far.example/y",
        ),
        ("none", "desktop: stranger none participant x@far.example/y"),
    ] {
        play.ask("crone1@localhost/desktop", &make(affiliation))
            .unwrap();
        assert_eq!(play.got()[0], seen);
    }
}

#[test]
fn only_members_are_left_when_the_room_is_theirs() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("x@far.example/y", "stranger").unwrap();
    play.got();
    play.room.config.members_only = true;
    play.room.put_out_strangers(&mut play.out);
    let got = play.got();
    assert_eq!(got[0], "y: stranger gone none none x@far.example/y 322 110");
    assert_eq!(got.len(), 2);
}

#[test]
fn private_messages_go_to_all_sessions_of_one_occupant() {
    let mut play = play(Config::default());
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.enter("hag66@localhost/broom", "thirdwitch").unwrap();
    play.enter("x@far.example/y", "stranger").unwrap();
    let body = Element::new(ns::CLIENT, "body").with_text("I'll give thee a wind");
    let message = Stanza::message(MessageType::Chat).with_element(body);
    let whisper = |play: &Play, who: &str, nick: &str| {
        let sent = play
            .room
            .whisper(&jid(who), nick, &message, MessageType::Chat);
        sent.map(|sent| sent.iter().map(told).collect::<Vec<_>>())
            .map_err(|error| error.condition)
    };
    assert_eq!(
        whisper(&play, "x@far.example/y", "thirdwitch").unwrap(),
        [
            "pda: stranger I'll give thee a wind",
            "broom: stranger I'll give thee a wind"
        ]
    );
    assert_eq!(
        whisper(&play, "x@far.example/y", "nobody"),
        Err(Condition::ItemNotFound)
    );
    assert_eq!(
        whisper(&play, "z@far.example/y", "thirdwitch"),
        Err(Condition::NotAcceptable)
    );
    play.room.config.allow_pm = AllowPm::Nobody;
    assert_eq!(
        whisper(&play, "x@far.example/y", "thirdwitch"),
        Err(Condition::Forbidden)
    );
}

#[test]
fn slow_mode_makes_all_but_admins_wait() {
    let slow = Config {
        slow_mode: 20,
        ..Config::default()
    };
    let mut play = play(slow);
    play.enter("wiccarocks@localhost/laptop", "secondwitch")
        .unwrap();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.say("hag66@localhost/pda", "Double").unwrap();
    assert_eq!(
        play.say("hag66@localhost/pda", "double"),
        Err(Condition::PolicyViolation)
    );
    play.say("wiccarocks@localhost/laptop", "toil").unwrap();
    play.say("wiccarocks@localhost/laptop", "and trouble")
        .unwrap();
}

#[test]
fn whoever_lost_track_gets_everything_again() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.got();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    let got = play.got();
    assert_eq!(got[0], "pda: firstwitch owner moderator");
    assert_eq!(got.last().map(String::as_str), Some("pda: room subject ''"));
    assert_eq!(
        play.room
            .occupants()
            .map(|occupant| occupant.seats.len())
            .sum::<usize>(),
        2
    );
}

#[test]
fn who_is_lost_goes_for_technical_reasons_and_is_not_kicked() {
    let mut play = play(Config::default());
    play.enter("crone1@localhost/desktop", "firstwitch")
        .unwrap();
    play.enter("hag66@localhost/pda", "thirdwitch").unwrap();
    play.got();
    assert!(play.room.lost(&jid("hag66@localhost/pda"), &mut play.out));
    let told = play.got().remove(1);
    assert!(told.ends_with(&code::ERROR.to_string()), "{told}");
    assert!(!told.contains(&code::KICKED.to_string()), "{told}");
    assert!(!play.room.lost(&jid("hag66@localhost/pda"), &mut play.out));
}
