//! What every backend promises, as one suite.
//!
//! [`contract_tests!`](crate::contract_tests) makes a test of each promise for one backend;
//! [`agrees_with_memory`](model::agrees_with_memory) compares random writes with the store in
//! memory.

pub mod accounts;
pub mod items;
pub mod model;
pub mod offline;
pub mod roster;
pub mod sets;

use crate::{Bounds, HashName, Result, ScramKey, Store, Stored, Waiting, Write, WriteSet};

/// Makes a `#[tokio::test]` of each promise. `$make` gives a tuple: the `Arc` of an empty store,
/// and whatever has to live as long.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @each $make;
            accounts: created_account_is_read_back,
            accounts: account_exists_only_once,
            accounts: new_keys_replace_all_old_ones,
            accounts: disabled_account_keeps_its_keys,
            accounts: accounts_are_listed_in_pages,
            accounts: writes_to_nobody_are_refused,
            accounts: recreated_account_inherits_nothing,
            roster: item_is_read_back_whole,
            roster: each_change_raises_the_version,
            roster: changes_since_a_version_are_told_in_order,
            roster: forgotten_removals_ask_for_the_whole_roster,
            roster: stale_base_is_a_conflict,
            roster: removing_a_stranger_is_not_found,
            roster: number_of_items_is_bounded,
            roster: pending_requests_are_kept_whole,
            roster: pending_requests_are_bounded,
            roster: recreated_account_never_repeats_a_version,
            offline: rows_come_in_order_and_in_pages,
            offline: bounds_refuse_what_is_too_much,
            offline: delivered_rows_go_and_numbers_are_not_reused,
            offline: rows_between_two_others_go_alone,
            offline: what_waited_too_long_goes_in_slices,
            items: private_elements_are_kept_by_name,
            items: private_elements_are_bounded,
            items: vcard_is_kept_with_the_hash_of_its_photo,
            items: block_list_is_a_bounded_set,
            items: last_seen_is_the_latest,
            items: invitation_is_used_up,
            items: invitation_is_for_one_host_and_time,
            items: invitations_go_with_their_maker,
            items: secret_is_made_once,
            sets: set_is_applied_whole_or_not_at_all,
            sets: refused_set_leaves_its_neighbours_alone,
            sets: sets_are_applied_in_the_order_of_the_calls,
            sets: registration_by_invitation_is_one_step,
            sets: hundred_writers_lose_nothing,
            sets: empty_set_is_done,
            sets: closed_store_says_so,
        }
    };
    (@each $make:expr; $($group:ident: $name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (store, _guard) = $make;
                $crate::contract::$group::$name(store).await;
            }
        )*
    };
}

pub(crate) const ROMEO: &str = "romeo@localhost";
pub(crate) const JULIET: &str = "juliet@localhost";

/// More than a test of something else needs.
pub(crate) const AMPLE: Bounds = Bounds {
    rows: 10_000,
    bytes: 10_000_000,
};

pub(crate) fn key(hash: HashName, byte: u8) -> ScramKey {
    ScramKey {
        hash,
        salt: [byte; 16].into(),
        iterations: 4096 + u32::from(byte),
        stored_key: [byte; 32].into(),
        server_key: [byte ^ 0xff; 32].into(),
    }
}

pub(crate) fn stored(text: &str) -> Stored {
    Stored {
        format: 7,
        bytes: text.as_bytes().to_vec(),
    }
}

pub(crate) fn create(bare: &str) -> Write {
    let (user, host) = bare.split_once('@').unwrap();
    Write::CreateAccount {
        host: host.into(),
        user: user.into(),
        created: 1_000_000,
        keys: vec![key(HashName::Sha256, 1)],
    }
}

pub(crate) fn delete(bare: &str) -> Write {
    let (user, host) = bare.split_once('@').unwrap();
    Write::DeleteAccount {
        host: host.into(),
        user: user.into(),
    }
}

pub(crate) fn push(account: &str, text: &str, bounds: Bounds) -> Write {
    Write::OfflinePush {
        account: account.into(),
        received_at: 5,
        stanza: Waiting::Stanza(stored(text)),
        bounds,
    }
}

pub(crate) async fn write(store: &dyn Store, write: Write) -> Result<()> {
    store.commit(WriteSet::from(write)).await.map(|_| ())
}

/// Writes what must succeed.
pub(crate) async fn done(store: &dyn Store, what: Write) {
    let shown = format!("{what:?}");
    assert_eq!(write(store, what).await, Ok(()), "{shown}");
}

/// The texts that wait for an account.
pub(crate) async fn waiting(store: &dyn Store, account: &str) -> Vec<String> {
    let rows = store.offline().page(account, 0, 10_000).await.unwrap();
    let text = |row: crate::OfflineRow| String::from_utf8(row.stanza.bytes).unwrap();
    rows.into_iter().map(text).collect()
}
