//! XEP-0480 SASL Upgrade Tasks 0.2.0 from the client's side.

use balcony_proto::ns;
use balcony_proto::sasl::scram::{MAX_ITERATIONS, MIN_ITERATIONS, salt_password};
use balcony_proto::sasl::{self, HashKind};
use balcony_proto::stream::Features;
use balcony_proto::xml::Element;

use super::negotiation::Negotiation;
use super::{Failure, Secret};
use crate::receiving::task;

impl Negotiation {
    /// `<upgrade/>` for each task that we can do (§2.2).
    pub(super) fn upgrade_wishes(&self, features: &Features) -> Vec<Element> {
        if !self.config.upgrade {
            return Vec::new();
        }
        let known = features
            .upgrades()
            .into_iter()
            .filter(|name| hash(name).is_some());
        known
            .map(|name| Element::new(ns::SASL_UPGRADE, "upgrade").with_text(&name))
            .collect()
    }

    /// `<continue/>`: the server has proved itself, and wants a task done that we asked for.
    pub(super) fn continued(&mut self, element: &Element) -> Result<(), Failure> {
        let tasks = element.child(ns::SASL2, "tasks");
        let mut tasks = tasks.into_iter().flat_map(Element::children);
        let name = tasks.find_map(|task| {
            let name = task.text().trim().to_owned();
            hash(&name).is_some().then_some(name)
        });
        let unknown = Failure::Protocol("it wants something unknown after the password");
        let name = name.filter(|_| self.config.upgrade).ok_or(unknown)?;
        self.task = hash(&name);
        self.write(&Element::new(ns::SASL2, "next").with_attr("task", name));
        Ok(())
    }

    /// `<task-data/>`: salt and iterations (§3), from which our answer follows.
    pub(super) fn task_data(&mut self, element: &Element) -> Result<(), Failure> {
        let bad = || Failure::Protocol("a task without what it needs");
        let hash = self.task.take().ok_or_else(bad)?;
        let salt = element.child(ns::SCRAM_UPGRADE, "salt").ok_or_else(bad)?;
        let iterations = salt.attr("iterations").and_then(|text| text.parse().ok());
        let iterations =
            iterations.filter(|count| (MIN_ITERATIONS..=MAX_ITERATIONS).contains(count));
        let salt = sasl::decode(salt.text().trim()).map_err(|_| bad())?;
        let Secret::Password { password, .. } = &self.config.secret else {
            return Err(bad());
        };
        let iterations = iterations.ok_or_else(bad)?;
        let salted = salt_password(hash, password, &salt, iterations).map_err(|_| bad())?;
        let salted = Element::new(ns::SCRAM_UPGRADE, "hash").with_text(&sasl::encode(&salted));
        self.write(&Element::new(ns::SASL2, "task-data").with_child(salted));
        Ok(())
    }
}

fn hash(name: &str) -> Option<HashKind> {
    let mut all = HashKind::ALL.into_iter();
    all.find(|hash| task(*hash) == name)
}
