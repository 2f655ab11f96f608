//! Lists of roles and affiliations, and changes of both (XEP-0045 §8.2–§8.5, §9, §10.3–§10.8).

use std::collections::HashMap;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;

use super::power::{may_affiliate, may_give_role};
use super::versions::Changed;
use super::view::{Said, Shown, code};
use super::{Affiliation, Listed, Occupant, Out, Role, Standing, State, compared};

/// Items of one request: what a client that edits a whole list sends.
const MAX_ITEMS: usize = 500;
/// Bytes of a reason: a long line.
const MAX_REASON: usize = 1_024;

/// What is to be changed: checked, and not done yet.
#[derive(Debug, Default)]
pub(in crate::muc) struct Plan {
    /// By bare JID or domain. `None`: nothing any more.
    pub(in crate::muc) lists: Vec<(Jid, Option<Listed>)>,
    roles: Vec<(String, Role)>,
    /// By whom.
    actor: Option<String>,
    /// Of changes of roles, by nickname.
    reasons: HashMap<String, String>,
    /// Of changes of affiliations; the lists have those that stay.
    why: HashMap<Jid, String>,
}

impl Plan {
    /// One change of an affiliation, by nobody in the room.
    pub(in crate::muc) fn of(jid: Jid, listed: Option<Listed>) -> Plan {
        Plan {
            lists: vec![(jid, listed)],
            ..Plan::default()
        }
    }
}

/// Who heard by presence that the lists changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Heard {
    Nobody,
    Itself,
    All,
}

/// An item of a request.
struct Item {
    affiliation: Option<Affiliation>,
    role: Option<Role>,
    jid: Option<Jid>,
    nick: Option<String>,
    reason: Option<String>,
}

impl Item {
    fn parse(element: &Element) -> Result<Item, StanzaError> {
        let bad = StanzaError::bad_request;
        let word = |name| element.attr(name);
        let jid = word("jid").map(|jid| Jid::parse(jid.trim()));
        let jid = jid.transpose().map_err(|_| StanzaError::jid_malformed())?;
        let affiliation = word("affiliation").map(|text| Affiliation::parse(text).ok_or_else(bad));
        let role = word("role").map(|text| Role::parse(text).ok_or_else(bad));
        let reason = element.child_text(ns::MUC_ADMIN, "reason");
        if reason
            .as_ref()
            .is_some_and(|reason| reason.len() > MAX_REASON)
        {
            return Err(StanzaError::policy_violation().with_text("the reason is too long"));
        }
        Ok(Item {
            affiliation: affiliation.transpose()?,
            role: role.transpose()?,
            jid: jid.map(|jid| jid.bare()),
            nick: word("nick").map(str::to_owned),
            reason: reason.filter(|reason| !reason.is_empty()),
        })
    }
}

fn items(query: &Element) -> Result<Vec<Item>, StanzaError> {
    let items = query
        .children()
        .filter(|child| child.is(ns::MUC_ADMIN, "item"));
    let items: Vec<Item> = items.map(Item::parse).collect::<Result<_, _>>()?;
    match items.len() {
        0 => Err(StanzaError::bad_request()),
        1..=MAX_ITEMS => Ok(items),
        _ => Err(StanzaError::not_allowed().with_text("too many items at once")),
    }
}

impl State {
    /// A list, as its `<query/>` (§8.5, §9.2, §9.5, §9.8, §10.5, §10.8).
    ///
    /// # Errors
    /// `forbidden` for whoever may not see it.
    pub(in crate::muc) fn list(
        &self,
        session: &Jid,
        query: &Element,
    ) -> Result<Element, StanzaError> {
        let asked = items(query)?;
        let standing = self.standing(session);
        let mut answer = Element::new(ns::MUC_ADMIN, "query");
        for item in asked {
            match (item.affiliation, item.role) {
                (Some(affiliation), None) => {
                    if !self.may_see(standing, affiliation) {
                        return Err(StanzaError::forbidden());
                    }
                    self.affiliated(affiliation, &mut answer);
                }
                (None, Some(role)) => {
                    // §9.8: the list of moderators is for admins.
                    let admin = standing.affiliation >= Affiliation::Admin;
                    if !(admin || standing.role == Role::Moderator && role != Role::Moderator) {
                        return Err(StanzaError::forbidden());
                    }
                    let occupants = self.occupants().filter(|occupant| occupant.role == role);
                    occupants.for_each(|occupant| answer.push(self.listed(occupant)));
                }
                _ => return Err(StanzaError::bad_request()),
            }
        }
        Ok(answer)
    }

    /// §5.2.1: lists are for admins; that of members for those who may see it, where real addresses
    /// are no secret.
    pub(super) fn may_see(&self, who: Standing, affiliation: Affiliation) -> bool {
        let admin = who.affiliation >= Affiliation::Admin;
        // §10.5, §10.8: in a room with secrets these are for owners.
        if affiliation >= Affiliation::Admin && !self.config.non_anonymous {
            return who.affiliation == Affiliation::Owner;
        }
        // §9.5: also who is not there, and then as what one would be.
        let role = match who.role {
            Role::None => Role::of_newcomer(who.affiliation, self.config.moderated),
            role => role,
        };
        // §9.5; §10.5 and §10.8: where addresses are no secret, also who decides.
        let member = affiliation >= Affiliation::Member
            && (self.config.non_anonymous || who.role == Role::Moderator)
            && who.affiliation >= Affiliation::Member
            && self.config.member_list.contains(&role);
        admin || member
    }

    /// The addresses of an affiliation, in their order.
    pub(in crate::muc) fn listed_as(&self, affiliation: Affiliation) -> Vec<String> {
        let listed = self.lists.iter();
        let listed = listed.filter(|(_, listed)| listed.affiliation == affiliation);
        let mut jids: Vec<String> = listed.map(|(jid, _)| jid.to_string()).collect();
        jids.sort();
        jids
    }

    fn affiliated(&self, affiliation: Affiliation, answer: &mut Element) {
        let listed = self.lists.iter();
        let mut listed: Vec<_> = listed
            .filter(|(_, listed)| listed.affiliation == affiliation)
            .collect();
        listed.sort_by(|(one, _), (two, _)| one.as_str().cmp(two.as_str()));
        for (jid, listed) in listed {
            let reason = listed.reason.as_deref();
            let reason = reason.map(|text| Element::new(ns::MUC_ADMIN, "reason").with_text(text));
            let item = Element::new(ns::MUC_ADMIN, "item")
                .with_attr("affiliation", affiliation.as_str())
                .with_attr("jid", jid.as_str())
                .with_opt_attr("nick", listed.nick.as_deref());
            answer.push(item.with_children(reason));
        }
    }

    fn listed(&self, occupant: &Occupant) -> Element {
        let jid = occupant.first().map(|seat| seat.jid.as_str());
        Element::new(ns::MUC_ADMIN, "item")
            .with_attr("affiliation", occupant.affiliation.as_str())
            .with_opt_attr("jid", jid)
            .with_attr("nick", occupant.nick.as_str())
            .with_attr("role", occupant.role.as_str())
    }

    /// What a request would change: all of it, or nothing.
    ///
    /// # Errors
    /// `forbidden` and `not-allowed` for what is beyond the actor, `item-not-found` for a nickname
    /// that nobody has, `conflict` for whoever bans himself (§9.1) or leaves the room without an
    /// owner (§10.4), `bad-request` for what makes no sense.
    pub(in crate::muc) fn plan(&self, session: &Jid, query: &Element) -> Result<Plan, StanzaError> {
        let actor = self.standing(session);
        let nick = self.seated(session).map(|occupant| occupant.nick.clone());
        let mut plan = Plan {
            actor: nick,
            ..Plan::default()
        };
        for item in items(query)? {
            match (item.affiliation, item.role) {
                (Some(affiliation), None) => {
                    self.plan_affiliation(session, actor, affiliation, item, &mut plan)?;
                }
                (None, Some(role)) => self.plan_role(actor, role, item, &mut plan)?,
                _ => return Err(StanzaError::bad_request()),
            }
        }
        self.check_owners(&plan)?;
        Ok(plan)
    }

    fn plan_affiliation(
        &self,
        session: &Jid,
        actor: Standing,
        then: Affiliation,
        item: Item,
        plan: &mut Plan,
    ) -> Result<(), StanzaError> {
        let jid = match (item.jid, &item.nick) {
            (Some(jid), _) => jid,
            // §9.1: by the nickname of whoever is there.
            (None, Some(nick)) => {
                let there = self.named(nick).ok_or_else(StanzaError::item_not_found)?;
                there.account.clone()
            }
            (None, None) => return Err(StanzaError::bad_request()),
        };
        if plan.lists.iter().any(|(other, _)| *other == jid) {
            return Err(StanzaError::bad_request().with_text("an address stands there twice"));
        }
        // §9.1: whoever may ban others does not ban himself.
        let admin = actor.affiliation >= Affiliation::Admin;
        if admin && then == Affiliation::Outcast && jid == session.bare() {
            return Err(StanzaError::conflict());
        }
        may_affiliate(actor.affiliation, self.affiliation(&jid), then)?;
        // A domain is banned or let in; it is no owner.
        if jid.is_domain() && then >= Affiliation::Admin {
            return Err(StanzaError::not_allowed());
        }
        let before = self.lists.get(&jid).and_then(|listed| listed.nick.clone());
        let nick = match then {
            Affiliation::Outcast | Affiliation::None => None,
            _ => item.nick.or(before),
        };
        if let Some(nick) = &nick
            && self
                .reserved
                .get(&compared(nick))
                .is_some_and(|owner| *owner != jid)
        {
            return Err(StanzaError::conflict().with_text("the nickname is another member's"));
        }
        if let Some(reason) = &item.reason {
            plan.why.insert(jid.clone(), reason.clone());
        }
        let listed = (then != Affiliation::None).then_some(Listed {
            affiliation: then,
            nick,
            reason: item.reason,
        });
        plan.lists.push((jid, listed));
        Ok(())
    }

    fn plan_role(
        &self,
        actor: Standing,
        then: Role,
        item: Item,
        plan: &mut Plan,
    ) -> Result<(), StanzaError> {
        let nick = item.nick.ok_or_else(StanzaError::bad_request)?;
        let Some(other) = self.named(&nick) else {
            // Whether somebody is there is nothing that everybody may ask.
            return Err(match actor.role {
                Role::Moderator => StanzaError::item_not_found(),
                _ => StanzaError::forbidden(),
            });
        };
        may_give_role(actor, other.standing(), then)?;
        if let Some(reason) = item.reason {
            plan.reasons.insert(other.nick.clone(), reason);
        }
        plan.roles.push((other.nick.clone(), then));
        Ok(())
    }

    /// §10.4: a room keeps an owner.
    fn check_owners(&self, plan: &Plan) -> Result<(), StanzaError> {
        let owns = |listed: &Listed| listed.affiliation == Affiliation::Owner;
        if !self.lists.values().any(owns) {
            return Ok(());
        }
        let planned = |jid: &Jid| plan.lists.iter().any(|(other, _)| other == jid);
        let kept = self
            .lists
            .iter()
            .any(|(jid, listed)| owns(listed) && !planned(jid));
        let mut new = plan.lists.iter().filter_map(|(_, listed)| listed.as_ref());
        match kept || new.any(owns) {
            true => Ok(()),
            false => Err(StanzaError::conflict().with_text("the room needs an owner")),
        }
    }

    /// The lists of admins and owners as the configuration has them (§10.2), as a plan.
    ///
    /// # Errors
    /// `conflict` when nobody would own the room.
    pub(in crate::muc) fn plan_lists(
        &self,
        session: &Jid,
        new: &[(Affiliation, Option<Vec<String>>)],
    ) -> Result<Plan, StanzaError> {
        let mut plan = Plan {
            actor: self.seated(session).map(|occupant| occupant.nick.clone()),
            ..Plan::default()
        };
        for (affiliation, jids) in new {
            let Some(jids) = jids else { continue };
            let listed = |jid: &Jid| self.lists.get(jid).map(|listed| listed.affiliation);
            for jid in jids.iter().filter_map(|jid| Jid::parse(jid).ok()) {
                if listed(&jid) != Some(*affiliation) {
                    self.plan_entry(&jid, *affiliation, &mut plan);
                }
            }
            let gone = self.lists.iter().filter(|(jid, listed)| {
                listed.affiliation == *affiliation
                    && !jids.iter().any(|other| other == jid.as_str())
            });
            for (jid, _) in gone {
                if !plan.lists.iter().any(|(other, _)| other == jid) {
                    self.plan_entry(jid, Affiliation::Member, &mut plan);
                }
            }
        }
        self.check_owners(&plan)?;
        Ok(plan)
    }

    fn plan_entry(&self, jid: &Jid, affiliation: Affiliation, plan: &mut Plan) {
        let nick = self.lists.get(jid).and_then(|listed| listed.nick.clone());
        let listed = Listed {
            affiliation,
            nick,
            reason: None,
        };
        plan.lists.retain(|(other, _)| other != jid);
        plan.lists.push((jid.clone(), Some(listed)));
    }

    /// Does what was planned, and tells everybody.
    pub(in crate::muc) fn carry_out(&mut self, plan: &Plan, out: &mut Out) {
        let lists = plan.lists.iter();
        let changes: Vec<Option<Changed>> = lists
            .map(|(jid, listed)| self.enlist(jid, listed.clone()))
            .collect();
        changes
            .iter()
            .flatten()
            .for_each(|changed| self.remember_change(changed));
        for ((jid, _), changed) in plan.lists.iter().zip(&changes) {
            let said = Said {
                actor: plan.actor.as_deref(),
                reason: plan.why.get(jid).map(String::as_str),
                // What is said of a domain is said of no occupant.
                changed: changed.as_ref().filter(|_| !jid.is_domain()),
                ..Said::default()
            };
            let heard = self.affiliate(jid, said, out);
            if let Some(changed) = changed.as_ref().filter(|_| heard != Heard::All) {
                self.tell_change(changed, heard == Heard::Itself, out);
            }
        }
        for (nick, role) in &plan.roles {
            let said = Said {
                reason: plan.reasons.get(nick).map(String::as_str),
                actor: plan.actor.as_deref(),
                ..Said::default()
            };
            match role {
                Role::None => {
                    let codes = &[code::KICKED];
                    self.put_out(nick, Said { codes, ..said }, out);
                }
                role => self.change(nick, None, *role, said, out),
            }
        }
    }

    /// §8.6: a visitor may speak from now on.
    ///
    /// # Errors
    /// `item-not-found` when nobody has that nickname, and what [`may_give_role`] says.
    pub(in crate::muc) fn give_voice(
        &mut self,
        moderator: &Occupant,
        nick: &str,
        out: &mut Out,
    ) -> Result<(), StanzaError> {
        let other = self.named(nick).ok_or_else(StanzaError::item_not_found)?;
        if other.role != Role::Visitor {
            return Ok(());
        }
        may_give_role(moderator.standing(), other.standing(), Role::Participant)?;
        self.change(nick, None, Role::Participant, Said::default(), out);
        Ok(())
    }

    /// Puts somebody on a list, or takes him off. Answers how that changes the lists.
    pub(in crate::muc) fn enlist(&mut self, jid: &Jid, listed: Option<Listed>) -> Option<Changed> {
        let what =
            |listed: Option<&Listed>| listed.map_or(Affiliation::None, |listed| listed.affiliation);
        let (before, now) = (what(self.lists.get(jid)), what(listed.as_ref()));
        self.reserved.retain(|_, owner| owner != jid);
        match listed {
            Some(listed) => {
                if let Some(nick) = &listed.nick {
                    self.reserved.insert(compared(nick), jid.clone());
                }
                self.lists.insert(jid.clone(), listed);
            }
            None => drop(self.lists.remove(jid)),
        }
        self.count_change(jid, before, now)
    }

    /// What the lists say now of those who are here with this address, or on this domain.
    fn affiliate(&mut self, jid: &Jid, said: Said<'_>, out: &mut Out) -> Heard {
        let meant = |occupant: &&Occupant| match jid.is_domain() {
            true => occupant.account.domain() == jid.domain(),
            false => occupant.account == *jid,
        };
        let meant: Vec<Occupant> = self.occupants().filter(meant).cloned().collect();
        let mut heard = Heard::Nobody;
        for occupant in meant {
            let now = self.affiliation(&occupant.account);
            if now == occupant.affiliation {
                continue;
            }
            let codes: &[u16] = match now {
                Affiliation::Outcast => &[code::BANNED],
                // §9.4
                Affiliation::None if self.config.members_only => &[code::NO_MEMBER],
                _ => &[],
            };
            let said = Said { codes, ..said };
            let role = match codes.is_empty() {
                true => role_after(&occupant, now, self.config.moderated),
                false => occupant.role,
            };
            if said.changed.is_some() {
                let told = self.config.tells_of(occupant.role) || self.config.tells_of(role);
                heard = heard.max(if told { Heard::All } else { Heard::Itself });
            }
            if codes.is_empty() {
                self.change(&occupant.nick, Some(now), role, said, out);
            } else {
                self.set_affiliation(&occupant.nick, now);
                self.put_out(&occupant.nick, said, out);
            }
        }
        heard
    }

    fn set_affiliation(&mut self, nick: &str, affiliation: Affiliation) {
        if let Some(occupant) = self.occupants.get_mut(&compared(nick)) {
            occupant.affiliation = affiliation;
        }
    }

    fn change(
        &mut self,
        nick: &str,
        affiliation: Option<Affiliation>,
        role: Role,
        said: Said<'_>,
        out: &mut Out,
    ) {
        let Some(occupant) = self.occupants.get_mut(&compared(nick)) else {
            return;
        };
        let before = occupant.role;
        occupant.affiliation = affiliation.unwrap_or(occupant.affiliation);
        occupant.role = role;
        let occupant = occupant.clone();
        if self.config.tells_of(before) && !self.config.tells_of(role) {
            self.hide(&occupant, said, out);
        }
        if let Some(seat) = occupant.first() {
            self.tell_all(Shown::available(&occupant, seat).saying(said), out);
        }
    }

    /// §10.2: the room is for members now; whoever is none goes.
    pub(in crate::muc) fn put_out_strangers(&mut self, out: &mut Out) {
        let stranger = |occupant: &&Occupant| occupant.affiliation < Affiliation::Member;
        let strangers = self.occupants().filter(stranger);
        let nicks: Vec<String> = strangers.map(|occupant| occupant.nick.clone()).collect();
        for nick in nicks {
            let said = Said {
                codes: &[code::MEMBERS_ONLY],
                ..Said::default()
            };
            self.put_out(&nick, said, out);
        }
    }
}

/// §5.1.3, the note: an affiliation brings a role with it; what is left of one when it goes is the
/// role of a newcomer.
fn role_after(occupant: &Occupant, now: Affiliation, moderated: bool) -> Role {
    let newcomer = Role::of_newcomer(now, moderated);
    match now > occupant.affiliation {
        true => occupant.role.max(newcomer),
        false => newcomer,
    }
}
