//! What a room is: its configuration, and the form by which owners change it (XEP-0045 §10.1.3,
//! §10.2, §15.5.3).

use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType, Submission};

use super::power::Role;

/// §15.5.3
pub(in crate::muc) const FORM: &str = "http://jabber.org/protocol/muc#roomconfig";

const NAME: &str = "muc#roomconfig_roomname";
const DESCRIPTION: &str = "muc#roomconfig_roomdesc";
const LANG: &str = "muc#roomconfig_lang";
const PUBLIC: &str = "muc#roomconfig_publicroom";
const PERSISTENT: &str = "muc#roomconfig_persistentroom";
const MODERATED: &str = "muc#roomconfig_moderatedroom";
const MEMBERS_ONLY: &str = "muc#roomconfig_membersonly";
const PROTECTED: &str = "muc#roomconfig_passwordprotectedroom";
const PASSWORD: &str = "muc#roomconfig_roomsecret";
const WHOIS: &str = "muc#roomconfig_whois";
const CHANGE_SUBJECT: &str = "muc#roomconfig_changesubject";
const ALLOW_INVITES: &str = "muc#roomconfig_allowinvites";
const ALLOW_PM: &str = "muc#roomconfig_allowpm";
const MAX_USERS: &str = "muc#roomconfig_maxusers";
const BROADCAST: &str = "muc#roomconfig_presencebroadcast";
const MEMBER_LIST: &str = "muc#roomconfig_getmemberlist";
const HISTORY: &str = "muc#maxhistoryfetch";
const LOGGING: &str = "muc#roomconfig_enablelogging";
/// Not in the registry; what Prosody and its clients name it.
const ARCHIVING: &str = "muc#roomconfig_enablearchiving";
/// XEP-0500 §5.1
const SLOW_MODE: &str = "muc#roomconfig_slow_mode_duration";
const ADMINS: &str = "muc#roomconfig_roomadmins";
const OWNERS: &str = "muc#roomconfig_roomowners";

/// Bytes of a name, a password and the like: a long line.
const MAX_LINE: usize = 256;
/// Bytes of a description: a screenful.
const MAX_TEXT: usize = 4_096;
/// Seconds that slow mode may make people wait: an hour; whoever wants more wants a moderated room.
const MAX_SLOW: u32 = 3_600;
/// The numbers of occupants that the form offers.
const USERS: [u32; 7] = [10, 20, 50, 100, 500, 1_000, 5_000];

/// Who may send private messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::muc) enum AllowPm {
    Anyone,
    Participants,
    Moderators,
    Nobody,
}

/// A room's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::muc) struct Config {
    pub(in crate::muc) name: Option<String>,
    pub(in crate::muc) description: Option<String>,
    pub(in crate::muc) lang: Option<String>,
    /// Listed by the service.
    pub(in crate::muc) public: bool,
    /// There while nobody is in it.
    pub(in crate::muc) persistent: bool,
    pub(in crate::muc) moderated: bool,
    pub(in crate::muc) members_only: bool,
    pub(in crate::muc) password: Option<String>,
    /// Everybody sees the real addresses; else moderators do.
    pub(in crate::muc) non_anonymous: bool,
    /// Participants may change the subject.
    pub(in crate::muc) change_subject: bool,
    /// Whoever is in the room may invite others.
    pub(in crate::muc) allow_invites: bool,
    pub(in crate::muc) allow_pm: AllowPm,
    /// The most occupants. `None`: as many as the service allows.
    pub(in crate::muc) max_users: Option<u32>,
    /// The roles of which presence is told.
    pub(in crate::muc) broadcast: Vec<Role>,
    /// The roles that may see the list of members.
    pub(in crate::muc) member_list: Vec<Role>,
    /// Messages of the history that a newcomer gets at most.
    pub(in crate::muc) history: u32,
    /// Messages are kept in the room's archive (XEP-0313).
    pub(in crate::muc) archive: bool,
    /// Seconds from one message of a participant to the next (XEP-0500); 0: none.
    pub(in crate::muc) slow_mode: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            name: None,
            description: None,
            lang: None,
            public: true,
            persistent: false,
            moderated: false,
            members_only: false,
            password: None,
            non_anonymous: false,
            change_subject: false,
            allow_invites: true,
            allow_pm: AllowPm::Anyone,
            max_users: None,
            broadcast: vec![Role::Moderator, Role::Participant, Role::Visitor],
            member_list: vec![Role::Moderator, Role::Participant],
            history: 20,
            archive: true,
            slow_mode: 0,
        }
    }
}

/// What an owner submitted, beside the configuration itself.
#[derive(Debug, Default)]
pub(in crate::muc) struct Lists {
    /// The new admins; `None`: as they were.
    pub(in crate::muc) admins: Option<Vec<String>>,
    /// The new owners.
    pub(in crate::muc) owners: Option<Vec<String>>,
}

impl AllowPm {
    const ALL: [(AllowPm, &str, &str); 4] = [
        (AllowPm::Anyone, "anyone", "Anyone"),
        (AllowPm::Participants, "participants", "Anyone with voice"),
        (AllowPm::Moderators, "moderators", "Moderators"),
        (AllowPm::Nobody, "none", "Nobody"),
    ];

    fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(one, _, _)| *one == self)
            .map_or("none", |(_, word, _)| word)
    }

    fn parse(word: &str) -> Option<AllowPm> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, other, _)| *other == word)
            .map(|(one, _, _)| one)
    }
}

impl Config {
    /// Whether the presence of occupants of this role is told to others.
    pub(in crate::muc) fn tells_of(&self, role: Role) -> bool {
        role == Role::None || self.broadcast.contains(&role)
    }

    /// The form, with what is in force as its values (§10.2).
    pub(in crate::muc) fn form(&self, admins: &[String], owners: &[String]) -> DataForm {
        let form = DataForm::about(FormType::Form, FORM).with_title("The room");
        let form = self.fields().into_iter().fold(form, DataForm::with_field);
        form.with_field(
            Field::new(FieldType::JidMulti, ADMINS)
                .labelled("Admins")
                .with_values(admins),
        )
        .with_field(
            Field::new(FieldType::JidMulti, OWNERS)
                .labelled("Owners")
                .with_values(owners),
        )
    }

    /// The form as the store keeps it: every field, and nothing for people.
    pub(in crate::muc) fn kept(&self) -> DataForm {
        let form = DataForm::about(FormType::Submit, FORM);
        let fields = self.fields().into_iter().filter_map(|field| {
            let var = field.var()?.to_owned();
            Some(Field::new(field.field_type?, var).with_values(field.values))
        });
        fields.fold(form, DataForm::with_field)
    }

    fn fields(&self) -> Vec<Field> {
        let line = |var: &str, label: &str, value: &Option<String>| {
            let field = Field::new(FieldType::TextSingle, var).labelled(label);
            field.with_value(value.clone().unwrap_or_default())
        };
        let flag = |var: &str, label: &str, value| Field::boolean(var, value).labelled(label);
        let number = |var: &str, value: u32| {
            Field::new(FieldType::TextSingle, var).with_value(value.to_string())
        };
        let history = number(HISTORY, self.history).ranging(0..=i64::from(u32::MAX));
        // XEP-0500 §5.1
        let slow_mode = number(SLOW_MODE, self.slow_mode).ranging(0..=i64::from(MAX_SLOW));
        vec![
            line(NAME, "Name", &self.name),
            line(DESCRIPTION, "Description", &self.description),
            line(LANG, "Language", &self.lang),
            flag(PUBLIC, "Listed for everybody", self.public),
            flag(PERSISTENT, "There while nobody is in it", self.persistent),
            flag(MEMBERS_ONLY, "For members only", self.members_only),
            flag(
                MODERATED,
                "Only whom a moderator lets may speak",
                self.moderated,
            ),
            flag(PROTECTED, "A password is needed", self.password.is_some()),
            Field::new(FieldType::TextPrivate, PASSWORD)
                .labelled("Password")
                .with_value(self.password.clone().unwrap_or_default()),
            self.whois(),
            flag(
                CHANGE_SUBJECT,
                "Participants change the subject",
                self.change_subject,
            ),
            flag(ALLOW_INVITES, "Occupants invite others", self.allow_invites),
            self.private_messages(),
            self.users(),
            roles(BROADCAST, "Whose presence is told", &self.broadcast),
            roles(
                MEMBER_LIST,
                "Who sees the list of members",
                &self.member_list,
            ),
            flag(ARCHIVING, "Messages are archived", self.archive),
            history.labelled("Messages that newcomers get at most"),
            slow_mode.labelled("Seconds between messages of one participant"),
        ]
    }

    fn whois(&self) -> Field {
        let field = Field::new(FieldType::ListSingle, WHOIS).labelled("Who sees real addresses");
        let value = if self.non_anonymous {
            "anyone"
        } else {
            "moderators"
        };
        let field = field.with_choice("moderators", "Moderators");
        field.with_choice("anyone", "Anyone").with_value(value)
    }

    fn private_messages(&self) -> Field {
        let field =
            Field::new(FieldType::ListSingle, ALLOW_PM).labelled("Who sends private messages");
        let choices = AllowPm::ALL.into_iter();
        choices
            .fold(field, |field, (_, word, label)| {
                field.with_choice(word, label)
            })
            .with_value(self.allow_pm.as_str())
    }

    fn users(&self) -> Field {
        let field = Field::new(FieldType::ListSingle, MAX_USERS).labelled("Occupants at most");
        let own = self.max_users.filter(|max| !USERS.contains(max));
        let offered = USERS.into_iter().chain(own);
        let field = offered.fold(field, |field, n| {
            field.with_choice(n.to_string(), n.to_string())
        });
        let value = self
            .max_users
            .map_or("none".to_owned(), |max| max.to_string());
        field.with_choice("none", "No limit").with_value(value)
    }

    /// The configuration with what was submitted; what was left out stays as it is.
    ///
    /// # Errors
    /// `not-acceptable`, with the reason, for what makes no sense (§10.2, §10.1.3).
    pub(in crate::muc) fn with_submitted(
        &self,
        form: &DataForm,
    ) -> Result<(Config, Lists), StanzaError> {
        let own_limit = form.value(MAX_USERS).and_then(|n| n.parse().ok());
        let template = Config {
            max_users: own_limit.or(self.max_users),
            ..self.clone()
        };
        let submitted = template.form(&[], &[]).check(form)?;
        let mut config = self.clone();
        config.take_texts(&submitted)?;
        config.take_flags(&submitted);
        config.take_choices(&submitted);
        config.take_numbers(&submitted)?;
        // Prosody and XEP-0045 have a name each for it.
        let logging = form
            .value(LOGGING)
            .map(|value| matches!(value, "1" | "true"));
        if let (None, Some(logging)) = (submitted.boolean(ARCHIVING), logging) {
            config.archive = logging;
        }
        let lists = Lists {
            admins: jids(&submitted, ADMINS),
            owners: jids(&submitted, OWNERS),
        };
        Ok((config, lists))
    }

    fn take_texts(&mut self, submitted: &Submission) -> Result<(), StanzaError> {
        let fields = [
            (NAME, &mut self.name, MAX_LINE),
            (DESCRIPTION, &mut self.description, MAX_TEXT),
            (LANG, &mut self.lang, MAX_LINE),
        ];
        for (var, value, max) in fields {
            if let Some(text) = submitted.text(var) {
                if text.len() > max {
                    return Err(unacceptable(format!("the field {var} is too long")));
                }
                *value = Some(text).filter(|text| !text.trim().is_empty());
            }
        }
        let secret = submitted.text(PASSWORD).filter(|text| !text.is_empty());
        if secret
            .as_ref()
            .is_some_and(|secret| secret.len() > MAX_LINE)
        {
            return Err(unacceptable("the password is too long".to_owned()));
        }
        match submitted.boolean(PROTECTED) {
            Some(false) => self.password = None,
            Some(true) if secret.is_none() && self.password.is_none() => {
                return Err(unacceptable("a password is missing".to_owned()));
            }
            Some(true) => self.password = secret.or(self.password.take()),
            // Whoever sets a password wants it asked for.
            None if secret.is_some() => self.password = secret,
            None => {}
        }
        Ok(())
    }

    fn take_flags(&mut self, submitted: &Submission) {
        let flags = [
            (PUBLIC, &mut self.public),
            (PERSISTENT, &mut self.persistent),
            (MODERATED, &mut self.moderated),
            (MEMBERS_ONLY, &mut self.members_only),
            (CHANGE_SUBJECT, &mut self.change_subject),
            (ALLOW_INVITES, &mut self.allow_invites),
            (ARCHIVING, &mut self.archive),
        ];
        for (var, flag) in flags {
            *flag = submitted.boolean(var).unwrap_or(*flag);
        }
    }

    fn take_choices(&mut self, submitted: &Submission) {
        if let Some(whois) = submitted.value(WHOIS) {
            self.non_anonymous = whois == "anyone";
        }
        let allow_pm = submitted.value(ALLOW_PM).and_then(AllowPm::parse);
        self.allow_pm = allow_pm.unwrap_or(self.allow_pm);
        let lists = [
            (BROADCAST, &mut self.broadcast),
            (MEMBER_LIST, &mut self.member_list),
        ];
        for (var, list) in lists {
            if let Some(values) = submitted.values(var) {
                *list = values.iter().filter_map(|word| Role::parse(word)).collect();
            }
        }
    }

    fn take_numbers(&mut self, submitted: &Submission) -> Result<(), StanzaError> {
        if let Some(max) = submitted.value(MAX_USERS) {
            self.max_users = match max {
                "none" => None,
                number => Some(parse(number, MAX_USERS, u32::MAX)?.max(1)),
            };
        }
        if let Some(number) = submitted.value(HISTORY) {
            self.history = parse(number, HISTORY, u32::MAX)?;
        }
        if let Some(number) = submitted.value(SLOW_MODE) {
            self.slow_mode = parse(number, SLOW_MODE, MAX_SLOW)?;
        }
        Ok(())
    }
}

fn roles(var: &str, label: &str, chosen: &[Role]) -> Field {
    let field = Field::new(FieldType::ListMulti, var).labelled(label);
    let field = field.with_choice("moderator", "Moderators");
    let field = field.with_choice("participant", "Participants");
    let field = field.with_choice("visitor", "Visitors");
    field.with_values(chosen.iter().map(|role| role.as_str()))
}

fn jids(submitted: &Submission, var: &str) -> Option<Vec<String>> {
    submitted.values(var)?;
    let jids = submitted.jids(var);
    Some(jids.iter().map(|jid| jid.bare_str().to_owned()).collect())
}

fn parse(number: &str, var: &str, max: u32) -> Result<u32, StanzaError> {
    let parsed = number.trim().parse().ok();
    let parsed = parsed.filter(|number| *number <= max);
    parsed.ok_or_else(|| unacceptable(format!("the field {var} takes a number up to {max}")))
}

fn unacceptable(text: String) -> StanzaError {
    StanzaError::not_acceptable().with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn submit(fields: &[(&str, &[&str])]) -> DataForm {
        let form = DataForm::about(FormType::Submit, FORM);
        fields.iter().fold(form, |form, (var, values)| {
            let field = Field::new(FieldType::TextSingle, *var);
            form.with_field(field.with_values(values.iter().copied()))
        })
    }

    #[test]
    fn what_is_kept_comes_back() {
        let config = Config {
            name: Some("A Dark Cave".to_owned()),
            description: Some("For witches".to_owned()),
            lang: Some("en".to_owned()),
            public: false,
            persistent: true,
            moderated: true,
            members_only: true,
            password: Some("cauldronburn".to_owned()),
            non_anonymous: true,
            change_subject: true,
            allow_invites: false,
            allow_pm: AllowPm::Moderators,
            max_users: Some(30),
            broadcast: vec![Role::Moderator],
            member_list: Vec::new(),
            history: 7,
            archive: false,
            slow_mode: 60,
        };
        for config in [config, Config::default()] {
            let element = config.kept().to_element();
            let form = DataForm::parse(&element).unwrap();
            let (again, lists) = Config::default().with_submitted(&form).unwrap();
            assert_eq!(again, config);
            assert!(lists.admins.is_none() && lists.owners.is_none());
        }
    }

    #[test]
    fn what_is_left_out_stays() {
        let secret = Config {
            password: Some("cauldronburn".to_owned()),
            ..Config::default()
        };
        let (same, _) = secret.with_submitted(&submit(&[])).unwrap();
        assert_eq!(same, secret);
        let open = submit(&[(PROTECTED, &["0"])]);
        assert_eq!(secret.with_submitted(&open).unwrap().0.password, None);
        let new = submit(&[(PROTECTED, &["1"]), (PASSWORD, &["thrice"])]);
        let password = secret.with_submitted(&new).unwrap().0.password;
        assert_eq!(password.as_deref(), Some("thrice"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let config = Config::default();
        let long = "x".repeat(MAX_LINE + 1);
        for fields in [
            vec![(PROTECTED, &["1"] as &[&str])],
            vec![(NAME, &[long.as_str()])],
            vec![(PASSWORD, &[long.as_str()])],
            vec![(HISTORY, &["many"])],
            vec![(SLOW_MODE, &["3601"])],
            vec![(SLOW_MODE, &["-1"])],
            vec![(WHOIS, &["nobody"])],
            vec![(PUBLIC, &["perhaps"])],
            vec![(OWNERS, &["@"])],
        ] {
            let error = config.with_submitted(&submit(&fields)).unwrap_err();
            assert_eq!(error.condition, Condition::NotAcceptable, "{fields:?}");
        }
    }
}
