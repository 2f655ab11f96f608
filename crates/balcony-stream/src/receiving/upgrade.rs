//! XEP-0480 SASL Upgrade Tasks 0.2.0: a client that has proved its password makes keys of a
//! stronger hash from it, within tasks of XEP-0388 §2.6.3.

use balcony_proto::ns;
use balcony_proto::sasl::scram::SALT_BYTES;
use balcony_proto::sasl::{self, HashKind, Mechanism, SaslError, ScramKeys};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::completion::Completion;
use super::negotiation::{Negotiation, Waiting};
use super::question::{Answer, Question};
use crate::sasl_profile::Profile;

/// Tasks under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    completion: Box<Completion>,
    /// The hash of the task under way.
    hash: HashKind,
    /// Those of the tasks after it.
    further: Vec<HashKind>,
    /// What the client was told to salt with, once it has begun the task.
    salt: Option<[u8; SALT_BYTES]>,
}

/// The task that makes keys of a hash. §2.1: named after the mechanism without channel binding.
pub(crate) fn task(hash: HashKind) -> &'static str {
    match hash {
        HashKind::Sha1 => "UPGR-SCRAM-SHA-1",
        HashKind::Sha256 => "UPGR-SCRAM-SHA-256",
        HashKind::Sha512 => "UPGR-SCRAM-SHA-512",
    }
}

/// The hash of the task that is named in `<upgrade/>`; `None` for one that is not known.
pub(super) fn parse(upgrade: &Element) -> Option<HashKind> {
    let name = upgrade.text();
    let mut all = HashKind::ALL.into_iter();
    all.find(|hash| task(*hash) == name.trim())
}

impl Negotiation {
    /// What the client wants of what is offered. Only who has proved the password may say what it
    /// makes: whoever has a token must not be able to set another password.
    pub(super) fn wanted_upgrades(&self, completion: &mut Completion) -> Option<Vec<HashKind>> {
        let wanted = std::mem::take(&mut completion.request.upgrades);
        let mechanism = self.account.as_ref()?.mechanism;
        if mechanism.is_fast() || mechanism == Mechanism::Anonymous {
            return None;
        }
        let offered = &self.host.as_ref()?.upgrades;
        let mut hashes = offered.clone();
        hashes.retain(|hash| wanted.contains(hash));
        (!hashes.is_empty()).then_some(hashes)
    }

    pub(super) fn ask_upgrades(&mut self, completion: Box<Completion>, hashes: Vec<HashKind>) {
        let Some(known) = &self.account else {
            return self.fail(StreamCondition::InternalServerError);
        };
        let account = known.account.clone();
        self.ask(
            Waiting::Lacks(completion),
            Question::Lacks { account, hashes },
        );
    }

    pub(super) fn lacks_answered(&mut self, completion: Box<Completion>, answer: Answer) {
        // No upgrade is worth a failed login.
        let Answer::Lacks(mut hashes) = answer else {
            return self.complete(completion);
        };
        match hashes.pop() {
            Some(hash) => self.offer_task(Box::new(Upgrade {
                completion,
                hash,
                further: hashes,
                salt: None,
            })),
            None => self.complete(completion),
        }
    }

    /// §2.2: one task at a time.
    fn offer_task(&mut self, mut upgrade: Box<Upgrade>) {
        let data = upgrade.completion.data.take();
        let data = data.map(|data| Profile::Sasl2.message("additional-data", Some(&data)));
        let task = Element::new(ns::SASL2, "task").with_text(task(upgrade.hash));
        let tasks = Element::new(ns::SASL2, "tasks").with_child(task);
        let element = Element::new(ns::SASL2, "continue")
            .with_children(data)
            .with_child(tasks);
        self.write(&element);
        self.upgrade = Some(upgrade);
    }

    /// An element of SASL2 while there are tasks.
    pub(super) fn task_element(&mut self, element: &Element) {
        let Some(upgrade) = self.upgrade.take() else {
            return self.fail(StreamCondition::InternalServerError);
        };
        match (element.name(), upgrade.salt) {
            ("next", None) if element.attr("task") == Some(task(upgrade.hash)) => {
                self.begin_task(upgrade)
            }
            ("task-data", Some(salt)) => self.end_task(upgrade, &salt, element),
            ("abort", _) => self.incomplete(SaslError::Aborted, None),
            ("next" | "task-data", _) => self.incomplete(SaslError::MalformedRequest, None),
            // XEP-0388 §4.8, and §2.4
            ("authenticate", _) => self.fail(StreamCondition::NotAuthorized),
            _ => self.fail(StreamCondition::PolicyViolation),
        }
    }

    /// §3: what the client must know to make the keys.
    fn begin_task(&mut self, mut upgrade: Box<Upgrade>) {
        let salt = self.random.salt();
        upgrade.salt = Some(salt);
        let salt = Element::new(ns::SCRAM_UPGRADE, "salt")
            .with_attr("iterations", self.iterations().to_string())
            .with_text(&sasl::encode(&salt));
        self.write(&Element::new(ns::SASL2, "task-data").with_child(salt));
        self.upgrade = Some(upgrade);
    }

    /// §3: the client's `SaltedPassword`.
    fn end_task(&mut self, upgrade: Box<Upgrade>, salt: &[u8], element: &Element) {
        let salted = element
            .child_text(ns::SCRAM_UPGRADE, "hash")
            .and_then(|text| sasl::decode(text.trim()).ok());
        let keys = salted.and_then(|salted| {
            ScramKeys::from_salted(upgrade.hash, &salted, salt, self.iterations())
        });
        let account = self.account.as_ref().map(|known| known.account.clone());
        match account.zip(keys) {
            Some((account, keys)) => self.ask(
                Waiting::AddKeys(upgrade),
                Question::AddKeys { account, keys },
            ),
            None => self.incomplete(SaslError::MalformedRequest, None),
        }
    }

    pub(super) fn task_done(&mut self, mut upgrade: Box<Upgrade>) {
        match upgrade.further.pop() {
            Some(hash) => {
                upgrade.hash = hash;
                upgrade.salt = None;
                self.offer_task(upgrade);
            }
            None => self.complete(upgrade.completion),
        }
    }

    fn iterations(&self) -> u32 {
        let host = self.host.as_ref();
        host.map(|host| host.iterations).unwrap_or_default()
    }
}
