//! Who may do what in a room: XEP-0045 §5.1.1 and §5.2.1 as tables of actor, action and result.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, MessageType, PresenceType, Stanza, StanzaError};
use balcony_proto::xml::Element;

use super::iq::Asked;
use super::room::{Affiliation, Config, Entry, Listed, Out, Plan, Rate, Rates, Role, State};
use super::{invite, owner};

/// Who acts, in the order of the letters of a row: two who are not in the room, and six who are.
const ACTORS: [(&str, Affiliation, Role); 8] = [
    ("outsider", Affiliation::None, Role::None),
    ("banned", Affiliation::Outcast, Role::None),
    ("visitor", Affiliation::None, Role::Visitor),
    ("participant", Affiliation::None, Role::Participant),
    ("member", Affiliation::Member, Role::Participant),
    ("moderator", Affiliation::None, Role::Moderator),
    ("admin", Affiliation::Admin, Role::Moderator),
    ("owner", Affiliation::Owner, Role::Moderator),
];

/// Who is acted upon: somebody else of each kind, with a nickname of this word.
const OTHERS: [(&str, Affiliation, Role); 6] = [
    ("visitor2", Affiliation::None, Role::Visitor),
    ("participant2", Affiliation::None, Role::Participant),
    ("member2", Affiliation::Member, Role::Participant),
    ("moderator2", Affiliation::None, Role::Moderator),
    ("admin2", Affiliation::Admin, Role::Moderator),
    ("owner2", Affiliation::Owner, Role::Moderator),
];

const RATES: Rates<'static> = Rates {
    messages: Rate {
        per_minute: 60,
        burst: 60,
    },
    presence: Rate {
        per_minute: 60,
        burst: 60,
    },
    hosts: &[],
};

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn session(name: &str) -> Jid {
    jid(&format!("{name}@localhost/here"))
}

/// A room in which everybody is who they are called.
fn room(config: &Config) -> State {
    let mut room = State::new(jid("coven@chat.localhost"), config.clone(), [7; 64]);
    // Whoever is there before a room is for members only stays.
    room.config.members_only = false;
    let everybody = || ACTORS.into_iter().chain(OTHERS);
    for (name, affiliation, role) in everybody() {
        if affiliation != Affiliation::None {
            let listed = Listed {
                affiliation,
                nick: None,
                reason: None,
            };
            let plan = Plan::of(session(name).bare(), Some(listed));
            room.carry_out(&plan, &mut Out::default());
        }
        if role != Role::None {
            enter(&mut room, name).unwrap();
        }
    }
    for (name, _, role) in everybody() {
        if role != room.standing(&session(name)).role {
            let item = format!("<item nick='{name}' role='{}'/>", role.as_str());
            change(&mut room, "owner", &item).unwrap();
        }
    }
    room.config.members_only = config.members_only;
    room
}

fn enter(room: &mut State, name: &str) -> Result<(), StanzaError> {
    let x = Element::new(ns::MUC, "x");
    let presence = Stanza::presence(PresenceType::Available).with_element(x);
    let entry = Entry {
        session: &session(name),
        nick: name,
        presence: &presence,
        max_users: 100,
        now: 0,
        created: false,
    };
    room.enter(&entry, &mut Out::default())
}

fn query(item: &str) -> Element {
    let text = format!("<query xmlns='{}'>{item}</query>", ns::MUC_ADMIN);
    Element::parse(text.as_bytes(), ns::CLIENT).unwrap()
}

fn change(room: &mut State, name: &str, item: &str) -> Result<(), StanzaError> {
    let plan = room.plan(&session(name), &query(item))?;
    room.carry_out(&plan, &mut Out::default());
    Ok(())
}

fn list(room: &State, name: &str, item: &str) -> Result<(), StanzaError> {
    room.list(&session(name), &query(item)).map(drop)
}

fn say(room: &mut State, name: &str, child: &'static str) -> Result<(), StanzaError> {
    let child = Element::new(ns::CLIENT, child).with_text("Thrice");
    let message = Stanza::message(MessageType::Groupchat).with_element(child);
    room.speak(&session(name), &message, 0, &RATES).map(drop)
}

fn whisper(room: &State, name: &str, to: &str) -> Result<(), StanzaError> {
    let message = Stanza::message(MessageType::Chat);
    let sent = room.whisper(&session(name), to, &message, MessageType::Chat);
    sent.map(drop)
}

fn own(room: &State, name: &str) -> Result<(), StanzaError> {
    let asked = Asked {
        set: true,
        from: &session(name),
        to: &room.jid,
        element: &Element::new(ns::MUC_OWNER, "query"),
    };
    owner::check_owner(&asked, room)
}

fn letter(outcome: Result<(), StanzaError>) -> char {
    match outcome.map_err(|error| error.condition) {
        Ok(()) => '+',
        Err(Condition::Forbidden) => 'f',
        Err(Condition::NotAllowed) => 'n',
        Err(Condition::NotAcceptable) => 'a',
        Err(Condition::RegistrationRequired) => 'r',
        Err(other) => panic!("{other:?}"),
    }
}

/// What is done, by whom it is named.
type Action<'a> = &'a dyn Fn(&mut State, &str) -> Result<(), StanzaError>;

/// Checks rows of a table: what is done, and what comes of it for each actor.
fn check(config: &Config, rows: &[(&str, Action<'_>, &str)]) {
    for (what, action, row) in rows {
        let got: String = ACTORS
            .into_iter()
            .map(|(name, _, _)| letter(action(&mut room(config), name)))
            .collect();
        assert_eq!(got, *row, "{what}");
    }
}

/// The same for requests to change something.
fn check_changes(config: &Config, rows: &[(&str, &str)]) {
    for (item, row) in rows {
        let action = |room: &mut State, name: &str| change(room, name, item);
        check(config, &[(item, &action, row)]);
    }
}

/// Rows: outsider, banned, visitor, participant, member, moderator, admin, owner. `+`: done; `f`:
/// forbidden, `n`: not-allowed, `a`: not-acceptable.
#[test]
fn roles_let_people_do_what_the_document_says() {
    let config = Config {
        moderated: true,
        ..Config::default()
    };
    let open = Config {
        change_subject: true,
        ..config.clone()
    };
    let of_members = Config {
        members_only: true,
        ..config.clone()
    };
    let rename =
        |room: &mut State, name: &str| room.rename(&session(name), "another", &mut Out::default());
    let invite = |room: &mut State, name: &str| invite::may_invite(room, &session(name));
    check(
        &config,
        &[
            ("speak", &|room, name| say(room, name, "body"), "aaf+++++"),
            (
                "the subject",
                &|room, name| say(room, name, "subject"),
                "aafff+++",
            ),
            (
                "whisper",
                &|room, name| whisper(room, name, "visitor2"),
                "aa++++++",
            ),
            ("another nickname", &rename, "aa++++++"),
            ("invite", &invite, "aaf+++++"),
        ],
    );
    check(
        &open,
        &[(
            "the subject",
            &|room, name| say(room, name, "subject"),
            "aaf+++++",
        )],
    );
    check(&of_members, &[("invite", &invite, "aaffff++")]);
}

/// §5.1.1, §5.1.3, §8.2 to §8.4, §9.6, §9.7
#[test]
fn roles_are_changed_by_whom_the_document_says() {
    let config = Config {
        moderated: true,
        ..Config::default()
    };
    check_changes(
        &config,
        &[
            ("<item nick='visitor2' role='none'/>", "fffff+++"),
            ("<item nick='participant2' role='none'/>", "fffff+++"),
            ("<item nick='member2' role='none'/>", "fffffn++"),
            ("<item nick='moderator2' role='none'/>", "fffffn++"),
            ("<item nick='admin2' role='none'/>", "fffffn++"),
            ("<item nick='owner2' role='none'/>", "fffffnn+"),
            ("<item nick='visitor2' role='participant'/>", "fffff+++"),
            ("<item nick='participant2' role='visitor'/>", "fffff+++"),
            ("<item nick='member2' role='visitor'/>", "fffffn++"),
            ("<item nick='moderator2' role='participant'/>", "fffffn++"),
            ("<item nick='moderator2' role='visitor'/>", "fffffn++"),
            ("<item nick='admin2' role='participant'/>", "fffffnnn"),
            ("<item nick='owner2' role='participant'/>", "fffffnnn"),
            ("<item nick='visitor2' role='moderator'/>", "ffffff++"),
            ("<item nick='participant2' role='moderator'/>", "ffffff++"),
            ("<item nick='member2' role='moderator'/>", "ffffff++"),
        ],
    );
}

/// §5.2.1, §5.2.2: each change of one affiliation into another.
#[test]
fn affiliations_are_changed_by_whom_the_document_says() {
    check_changes(
        &Config::default(),
        &[
            (
                "<item jid='new@localhost' affiliation='outcast'/>",
                "ffffff++",
            ),
            (
                "<item jid='new@localhost' affiliation='member'/>",
                "ffffff++",
            ),
            (
                "<item jid='new@localhost' affiliation='admin'/>",
                "fffffff+",
            ),
            (
                "<item jid='new@localhost' affiliation='owner'/>",
                "fffffff+",
            ),
            (
                "<item jid='banned@localhost' affiliation='none'/>",
                "ffffff++",
            ),
            (
                "<item jid='banned@localhost' affiliation='member'/>",
                "ffffff++",
            ),
            (
                "<item jid='banned@localhost' affiliation='admin'/>",
                "fffffff+",
            ),
            (
                "<item jid='banned@localhost' affiliation='owner'/>",
                "fffffff+",
            ),
            (
                "<item jid='member2@localhost' affiliation='outcast'/>",
                "ffffff++",
            ),
            (
                "<item jid='member2@localhost' affiliation='none'/>",
                "ffffff++",
            ),
            (
                "<item jid='member2@localhost' affiliation='admin'/>",
                "fffffff+",
            ),
            (
                "<item jid='member2@localhost' affiliation='owner'/>",
                "fffffff+",
            ),
            (
                "<item jid='admin2@localhost' affiliation='outcast'/>",
                "ffffffn+",
            ),
            (
                "<item jid='admin2@localhost' affiliation='none'/>",
                "ffffffn+",
            ),
            (
                "<item jid='admin2@localhost' affiliation='member'/>",
                "ffffffn+",
            ),
            (
                "<item jid='admin2@localhost' affiliation='owner'/>",
                "fffffff+",
            ),
            (
                "<item jid='owner2@localhost' affiliation='outcast'/>",
                "ffffffn+",
            ),
            (
                "<item jid='owner2@localhost' affiliation='none'/>",
                "ffffffn+",
            ),
            (
                "<item jid='owner2@localhost' affiliation='member'/>",
                "ffffffn+",
            ),
            (
                "<item jid='owner2@localhost' affiliation='admin'/>",
                "fffffff+",
            ),
        ],
    );
}

/// §8.5, §9.2, §9.5, §9.8, §10.5, §10.8, and what is the owners' alone.
#[test]
fn lists_and_the_room_itself_are_for_whom_the_document_says() {
    let open = Config {
        non_anonymous: true,
        ..Config::default()
    };
    let list = |item: &'static str| move |room: &mut State, name: &str| list(room, name, item);
    let voice = list("<item role='participant'/>");
    let moderators = list("<item role='moderator'/>");
    let banned = list("<item affiliation='outcast'/>");
    let members = list("<item affiliation='member'/>");
    let admins = list("<item affiliation='admin'/>");
    let owners = list("<item affiliation='owner'/>");
    check(
        &Config::default(),
        &[
            ("the voice list", &voice, "fffff+++"),
            ("the moderators", &moderators, "ffffff++"),
            ("the banned", &banned, "ffffff++"),
            ("the members", &members, "ffffff++"),
            ("the admins", &admins, "fffffff+"),
            ("the owners", &owners, "fffffff+"),
            (
                "the configuration",
                &|room, name| own(room, name),
                "fffffff+",
            ),
        ],
    );
    check(
        &open,
        &[
            ("the banned", &banned, "ffffff++"),
            ("the members", &members, "ffff+f++"),
            ("the admins", &admins, "ffff+f++"),
            ("the owners", &owners, "ffff+f++"),
        ],
    );
}

/// §5.1.2, §5.2.1: what becomes of whoever comes in, from outcast to owner.
#[test]
fn affiliations_open_rooms_and_bring_roles() {
    let open = Config::default();
    let moderated = Config {
        moderated: true,
        ..Config::default()
    };
    let of_members = Config {
        members_only: true,
        ..Config::default()
    };
    for (config, row) in [(open, "fppmm"), (moderated, "fvpmm"), (of_members, "frpmm")] {
        let come_in = |affiliation| {
            let mut room = State::new(jid("coven@chat.localhost"), config.clone(), [7; 64]);
            let listed = Listed {
                affiliation,
                nick: None,
                reason: None,
            };
            let listed = Some(listed).filter(|_| affiliation != Affiliation::None);
            room.enlist(&jid("who@localhost"), listed);
            match letter(enter(&mut room, "who")) {
                '+' => match room.standing(&session("who")).role {
                    Role::Visitor => 'v',
                    Role::Participant => 'p',
                    Role::Moderator => 'm',
                    Role::None => '-',
                },
                refused => refused,
            }
        };
        let got: String = Affiliation::ALL.into_iter().map(come_in).collect();
        assert_eq!(got, row, "{config:?}");
    }
}
