//! Roles and affiliations, and who may change whose (XEP-0045 §5).

use balcony_proto::stanza::StanzaError;

/// What somebody is in a room while they are there (§5.1), from the least to the most powerful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::muc) enum Role {
    /// Not in the room.
    None,
    /// Hears, and does not speak.
    Visitor,
    /// Speaks.
    Participant,
    /// Decides who may.
    Moderator,
}

/// What somebody is to a room, present or not (§5.2), from the least to the most powerful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::muc) enum Affiliation {
    /// Banned.
    Outcast,
    /// Nothing.
    None,
    /// May come in.
    Member,
    /// Decides who may.
    Admin,
    /// Decides what the room is.
    Owner,
}

impl Role {
    pub(in crate::muc) const ALL: [Role; 4] = [
        Role::None,
        Role::Visitor,
        Role::Participant,
        Role::Moderator,
    ];

    pub(in crate::muc) fn as_str(self) -> &'static str {
        match self {
            Role::None => "none",
            Role::Visitor => "visitor",
            Role::Participant => "participant",
            Role::Moderator => "moderator",
        }
    }

    pub(in crate::muc) fn parse(text: &str) -> Option<Role> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What somebody of this affiliation is who comes in (§5.1.2).
    pub(in crate::muc) fn of_newcomer(affiliation: Affiliation, moderated: bool) -> Role {
        match affiliation {
            Affiliation::Owner | Affiliation::Admin => Role::Moderator,
            Affiliation::Member => Role::Participant,
            Affiliation::None if moderated => Role::Visitor,
            Affiliation::None => Role::Participant,
            Affiliation::Outcast => Role::None,
        }
    }
}

impl Affiliation {
    pub(in crate::muc) const ALL: [Affiliation; 5] = [
        Affiliation::Outcast,
        Affiliation::None,
        Affiliation::Member,
        Affiliation::Admin,
        Affiliation::Owner,
    ];

    pub(in crate::muc) fn as_str(self) -> &'static str {
        match self {
            Affiliation::Outcast => "outcast",
            Affiliation::None => "none",
            Affiliation::Member => "member",
            Affiliation::Admin => "admin",
            Affiliation::Owner => "owner",
        }
    }

    pub(in crate::muc) fn parse(text: &str) -> Option<Affiliation> {
        let mut all = Self::ALL.into_iter();
        all.find(|affiliation| affiliation.as_str() == text)
    }
}

/// Whoever has both, as one: an actor, or the one who is acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::muc) struct Standing {
    pub(in crate::muc) role: Role,
    pub(in crate::muc) affiliation: Affiliation,
}

/// Whether the actor may give another this affiliation (§5.2.2, §9, §10).
///
/// # Errors
/// `forbidden` when it is beyond the actor, `not-allowed` when the other is.
pub(in crate::muc) fn may_affiliate(
    actor: Affiliation,
    now: Affiliation,
    then: Affiliation,
) -> Result<(), StanzaError> {
    match actor {
        Affiliation::Owner => Ok(()),
        // §5.2.1: an admin edits the lists of members and outcasts.
        Affiliation::Admin if then >= Affiliation::Admin => Err(StanzaError::forbidden()),
        // §9.1: nobody bans, or puts down, whoever is as high or higher.
        Affiliation::Admin if now >= Affiliation::Admin => Err(StanzaError::not_allowed()),
        Affiliation::Admin => Ok(()),
        _ => Err(StanzaError::forbidden()),
    }
}

/// Whether the actor may give another occupant this role (§5.1.3, §8, §9.6, §9.7).
///
/// # Errors
/// `forbidden` when it is beyond the actor, `not-allowed` when the other is.
pub(in crate::muc) fn may_give_role(
    actor: Standing,
    other: Standing,
    then: Role,
) -> Result<(), StanzaError> {
    if actor.role != Role::Moderator {
        return Err(StanzaError::forbidden());
    }
    let admin = actor.affiliation >= Affiliation::Admin;
    // §5.1.3: a moderator is put out or unmade by an admin.
    let beyond = other.role == Role::Moderator && !admin;
    let refused = match then {
        // §8.2
        Role::None => beyond || other.affiliation > actor.affiliation,
        // §9.6
        Role::Moderator if !admin => return Err(StanzaError::forbidden()),
        // §8.3
        _ if then >= other.role => false,
        // §8.4, §9.7: not of whoever stands as high, and of no admin or owner at all.
        _ => {
            let high = other.affiliation > Affiliation::None;
            beyond
                || other.affiliation >= Affiliation::Admin
                || (high && other.affiliation >= actor.affiliation)
        }
    };
    match refused {
        true => Err(StanzaError::not_allowed()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    /// A letter of a table: allowed, forbidden or not-allowed.
    fn letter(outcome: Result<(), StanzaError>) -> char {
        match outcome.map_err(|error| error.condition) {
            Ok(()) => '+',
            Err(Condition::Forbidden) => 'f',
            Err(Condition::NotAllowed) => 'n',
            Err(other) => panic!("{other:?}"),
        }
    }

    /// §5.2.1 and §5.2.2: rows are what the other is, columns what it is to become, both from
    /// outcast to owner.
    #[test]
    fn affiliations_are_changed_by_whom_the_document_says() {
        let owner = ["+++++"; 5];
        let admin = ["+++ff", "+++ff", "+++ff", "nnnff", "nnnff"];
        let nobody = ["fffff"; 5];
        let tables = [
            (Affiliation::Owner, owner),
            (Affiliation::Admin, admin),
            (Affiliation::Member, nobody),
            (Affiliation::None, nobody),
            (Affiliation::Outcast, nobody),
        ];
        for (actor, table) in tables {
            for (now, row) in Affiliation::ALL.into_iter().zip(table) {
                let all = Affiliation::ALL.into_iter();
                let got: String = all
                    .map(|then| letter(may_affiliate(actor, now, then)))
                    .collect();
                assert_eq!(got, row, "{actor:?} changes {now:?}");
            }
        }
    }

    /// §5.1.3: rows are who acts, columns the role that is given: none to moderator.
    #[test]
    fn roles_are_changed_by_whom_the_document_says() {
        use Affiliation::{Admin, Member, None, Owner};
        use Role::{Moderator, Participant, Visitor};
        let table = [
            // Who acts, who is acted upon, the outcome for each role.
            ((None, Participant), (None, Visitor), "ffff"),
            ((Member, Visitor), (None, Visitor), "ffff"),
            ((None, Moderator), (None, Visitor), "+++f"),
            ((None, Moderator), (None, Participant), "+++f"),
            ((None, Moderator), (Member, Participant), "nn+f"),
            ((Member, Moderator), (Member, Participant), "+n+f"),
            ((None, Moderator), (None, Moderator), "nnnf"),
            ((Member, Moderator), (Admin, Moderator), "nnnf"),
            ((Admin, Moderator), (None, Moderator), "++++"),
            ((Admin, Moderator), (Member, Participant), "++++"),
            ((Admin, Moderator), (Admin, Moderator), "+nn+"),
            ((Admin, Moderator), (Owner, Moderator), "nnn+"),
            ((Owner, Moderator), (Admin, Moderator), "+nn+"),
            ((Owner, Moderator), (Owner, Moderator), "+nn+"),
        ];
        for (actor, other, row) in table {
            let standing = |(affiliation, role)| Standing { role, affiliation };
            let all = Role::ALL.into_iter();
            let got: String = all
                .map(|then| letter(may_give_role(standing(actor), standing(other), then)))
                .collect();
            assert_eq!(got, row, "{actor:?} acts upon {other:?}");
        }
    }
}
