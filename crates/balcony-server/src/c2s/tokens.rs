//! Answers about tokens (XEP-0484) and about keys that clients make (XEP-0480).

use std::sync::Arc;

use balcony_core::tokens::{LoggedInBy, TokenUse};
use balcony_core::{Core, Session};
use balcony_proto::jid::Jid;
use balcony_proto::sasl::{HashKind, Mechanism, ScramKeys};
use balcony_proto::stanza::StanzaError;
use balcony_store::{HashName, KeyCount, Token, TokenClient};
use balcony_stream::receiving::{
    Answer, KnownToken, TokenAnswer, TokenRequest, TokenSecret, Tokens,
};
use balcony_stream::{KeyCounts, UserAgent};

use super::answers::may_try;
use super::link::Link;
use super::negotiate::Negotiation;

/// What a client may log in by.
pub(super) async fn known<L: Link>(
    stream: &mut Negotiation<'_, L>,
    account: &Jid,
    client: &str,
) -> Answer {
    if !may_try(stream) {
        return Answer::Failed;
    }
    let core = &stream.instance.core;
    let login = match core.token_login(account, client).await {
        Ok(Some(login)) => login,
        // Nobody can tell it from a client without tokens.
        Ok(None) => return Answer::Tokens(Tokens::default()),
        Err(cause) => {
            tracing::error!(%cause, "nobody can log in: the store does not answer");
            return Answer::Failed;
        }
    };
    let tokens = login.tokens.into_iter();
    // XEP-0484 §5.1: the new one first.
    let tokens = tokens.flat_map(|tokens| tokens.new.into_iter().chain(tokens.current));
    Answer::Tokens(Tokens {
        disabled: !login.enabled,
        tokens: tokens
            .filter_map(|token| known_token(core, token))
            .collect(),
    })
}

fn known_token(core: &Core, token: Token) -> Option<KnownToken> {
    Some(KnownToken {
        mechanism: Mechanism::parse(&token.mechanism)?,
        count: token.count,
        expired: core.token_expired(&token),
        due: core.token_due(&token),
        secret: TokenSecret(token.secret),
    })
}

/// A client has used a token, or is to get one.
pub(super) async fn used<L: Link>(
    stream: &mut Negotiation<'_, L>,
    request: TokenRequest,
) -> Answer {
    let UserAgent {
        id: Some(id),
        software,
        device,
    } = request.client
    else {
        return Answer::Failed;
    };
    let invalidate = request.used.as_ref().is_some_and(|used| used.invalidate);
    let by_token = request.used.is_some() && !invalidate;
    let issued = request.issue.is_some();
    let by = match request.used {
        Some(used) => LoggedInBy::Token {
            secret: used.secret.0,
            count: used.count,
        },
        None => LoggedInBy::Password {
            stored_key: stream.stored_key.clone().unwrap_or_default(),
        },
    };
    let wish = TokenUse {
        account: request.account,
        client: TokenClient {
            id: id.clone(),
            software,
            device,
        },
        by,
        invalidate,
        issue: request
            .issue
            .map(|new| (new.mechanism.as_str().to_owned(), new.secret.0)),
    };
    match stream.instance.core.use_token(wish).await {
        Ok(Some(expires)) => {
            stream.noted = true;
            stream.token_of = by_token.then_some(id);
            Answer::Token(TokenAnswer::Done {
                expires: issued.then_some(expires),
            })
        }
        Ok(None) => Answer::Token(TokenAnswer::Revoked),
        Err(cause) => {
            tracing::error!(%cause, "no token is noted: the store does not answer");
            Answer::Failed
        }
    }
}

/// Whether the account may still log in, and the client still has a token: who revokes either finds
/// the session in the table, or is found here.
pub(super) async fn still_good(
    core: &Core,
    account: &Jid,
    client: &str,
) -> Result<(), StanzaError> {
    match core.token_login(account, client).await {
        Ok(Some(login)) if login.enabled => {
            let tokens = login.tokens.as_ref();
            let any = tokens.is_some_and(|tokens| tokens.new.is_some() || tokens.current.is_some());
            any.then_some(()).ok_or_else(StanzaError::not_allowed)
        }
        Ok(_) => Err(StanzaError::not_allowed()),
        Err(cause) => {
            tracing::error!(%cause, "nobody can bind: the store does not answer");
            Err(StanzaError::internal_server_error())
        }
    }
}

/// Remembers a client that got in by password and has no token (XEP-0494 §5).
pub(super) fn note<L: Link>(stream: &mut Negotiation<'_, L>, session: &Session) {
    let noted = std::mem::replace(&mut stream.noted, true);
    let proved = stream.stored_key.clone().zip(session.client());
    if let Some((stored_key, client)) = proved.filter(|_| !noted) {
        let core = &stream.instance.core;
        core.note_client(session.account(), &client, stored_key);
    }
}

/// Of which hashes an account lacks keys.
pub(super) async fn lacks<L: Link>(
    stream: &Negotiation<'_, L>,
    account: &Jid,
    mut hashes: Vec<HashKind>,
) -> Answer {
    match stream.instance.core.hashes_of(account).await {
        Ok(known) => {
            hashes.retain(|hash| !known.contains(hash));
            Answer::Lacks(hashes)
        }
        Err(cause) => {
            tracing::warn!(%cause, "no keys are upgraded");
            Answer::Failed
        }
    }
}

/// Keys that a client made.
pub(super) async fn add_keys<L: Link>(
    stream: &Negotiation<'_, L>,
    account: &Jid,
    keys: ScramKeys,
) -> Answer {
    match stream.instance.core.add_keys(account, keys).await {
        Ok(()) => Answer::Kept,
        Err(cause) => {
            tracing::warn!(%cause, "no keys are upgraded");
            Answer::Failed
        }
    }
}

/// What decoys show.
pub(super) fn key_counts(counts: &[KeyCount]) -> Arc<KeyCounts> {
    let counts = counts.iter();
    let counts = counts.map(|count| (kind(count.hash), count.iterations, count.accounts));
    Arc::new(KeyCounts(counts.collect()))
}

/// The hashes of offered mechanisms that some accounts have no keys of. SHA-1 is no upgrade.
pub(super) fn upgrades(mechanisms: &[Mechanism], counts: &[KeyCount]) -> Vec<HashKind> {
    let with = |hash: HashKind| -> u64 {
        let of_hash = counts.iter().filter(|count| kind(count.hash) == hash);
        of_hash.map(|count| count.accounts).sum()
    };
    let most = HashKind::ALL
        .into_iter()
        .map(with)
        .max()
        .unwrap_or_default();
    let offered = |hash: &HashKind| mechanisms.iter().any(|known| known.hash() == Some(*hash));
    [HashKind::Sha256, HashKind::Sha512]
        .into_iter()
        .filter(|hash| offered(hash) && with(*hash) < most)
        .collect()
}

fn kind(name: HashName) -> HashKind {
    match name {
        HashName::Sha1 => HashKind::Sha1,
        HashName::Sha256 => HashKind::Sha256,
        HashName::Sha512 => HashKind::Sha512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_are_offered_where_keys_are_missing() {
        let count = |hash, accounts| KeyCount {
            hash,
            iterations: 4096,
            accounts,
        };
        let all = [Mechanism::ScramSha1, Mechanism::ScramSha256];
        let some = [count(HashName::Sha1, 3), count(HashName::Sha256, 2)];
        assert_eq!(upgrades(&all, &some), [HashKind::Sha256]);
        assert_eq!(upgrades(&[Mechanism::ScramSha1], &some), []);
        let whole = [count(HashName::Sha1, 3), count(HashName::Sha256, 3)];
        assert_eq!(upgrades(&all, &whole), []);
        assert_eq!(upgrades(&all, &[]), []);
    }
}
