//! What every backend promises, as one suite.
//!
//! [`contract_tests!`](crate::contract_tests) makes a test of each promise for one backend;
//! [`agrees_with_memory`](model::agrees_with_memory) compares random writes with the store in
//! memory.

pub mod accounts;
pub mod archive;
pub mod items;
pub mod keeping;
pub mod model;
pub(crate) mod model_archive;
pub(crate) mod model_pubsub;
pub(crate) mod model_rooms;
pub mod offline;
pub mod pubsub;
pub mod push;
pub mod remote;
pub mod rooms;
pub mod roster;
pub mod sets;
pub mod streams;
pub mod tokens;
pub mod waiting;

use crate::{
    ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveRequest, Bounds,
    HashName, Result, ScramKey, Store, Stored, Waiting, Write, WriteSet,
};

/// Makes a `#[tokio::test]` of each promise. `$make` gives a tuple: the `Arc` of an empty store,
/// and whatever has to live as long.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @each $make;
            accounts: created_account_is_read_back,
            accounts: account_exists_only_once,
            accounts: new_keys_replace_all_old_ones,
            accounts: keys_are_added_where_there_are_none,
            accounts: iteration_counts_in_use_are_told,
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
            archive: archive_is_in_the_order_of_the_commits,
            archive: reader_misses_nothing_while_others_write,
            archive: archive_is_read_in_pages_from_both_ends,
            archive: archive_is_filtered,
            archive: archive_is_filtered_by_the_other_party,
            archive: ids_are_of_one_archive,
            archive: archive_of_nobody_is_empty,
            archive: times_of_an_archive_never_run_backwards,
            archive: refused_set_archives_nothing,
            archive: archive_goes_with_its_account,
            keeping: old_messages_go_in_slices,
            keeping: large_archives_lose_their_oldest_messages,
            keeping: trimming_sees_what_the_same_set_archived,
            keeping: retracted_message_leaves_a_tombstone,
            keeping: message_is_replaced_by_its_id,
            keeping: retraction_by_a_full_jid_means_no_other_resource,
            keeping: retraction_meets_a_message_of_its_own_set,
            keeping: preferences_are_kept,
            waiting: archived_message_waits_by_its_id,
            waiting: archived_messages_count_with_their_size,
            waiting: what_was_not_archived_now_cannot_wait,
            waiting: waiting_row_goes_after_its_archived_message,
            waiting: retracted_message_waits_as_a_tombstone,
            waiting: undelivered_messages_are_queued_after_a_crash,
            streams: stream_is_found_by_its_id,
            streams: count_of_a_stream_is_committed_with_its_stanza,
            streams: kept_streams_are_listed_in_pages,
            streams: streams_are_forgotten_in_time,
            items: private_elements_are_kept_by_name,
            items: private_elements_are_bounded,
            items: vcard_is_kept_with_the_hash_of_its_photo,
            items: block_list_is_a_bounded_set,
            items: last_seen_is_the_latest,
            items: invitation_is_used_up,
            items: invitation_is_for_one_host_and_time,
            items: invitations_go_with_their_maker,
            items: secret_is_made_once,
            push: push_registration_is_read_back_and_replaced,
            push: push_is_disabled_by_node_or_by_service,
            push: failed_push_is_disabled_until_it_is_enabled_again,
            push: push_registrations_are_bounded,
            push: push_goes_with_its_account,
            tokens: token_is_read_back_whole,
            tokens: token_in_use_is_good_until_the_new_one_is_used,
            tokens: count_of_a_token_only_grows,
            tokens: names_of_a_client_are_its_last_ones,
            tokens: revoked_token_is_gone_and_the_password_is_remembered,
            tokens: token_is_refused_to_who_proved_an_old_password,
            tokens: client_without_a_token_is_remembered_by_its_password,
            tokens: clients_with_tokens_are_bounded,
            tokens: clients_without_tokens_make_way_first,
            tokens: tokens_that_nobody_uses_go_in_slices,
            tokens: tokens_go_with_their_account,
            rooms: created_room_is_read_back,
            rooms: room_is_configured_and_has_a_subject,
            rooms: affiliations_are_kept_in_order,
            rooms: nickname_is_reserved_for_one,
            rooms: affiliations_are_bounded,
            rooms: rooms_are_listed_in_pages,
            rooms: rooms_of_somebody_are_found,
            rooms: room_is_no_account,
            rooms: account_is_no_room,
            rooms: room_goes_with_all_that_is_its,
            rooms: refused_set_changes_no_room,
            rooms: archives_of_rooms_are_kept_in_bounds,
            rooms: nothing_waits_for_a_room_after_a_crash,
            pubsub: node_is_read_back_and_configured,
            pubsub: writes_to_no_node_are_refused,
            pubsub: nodes_are_listed_in_pages_and_bounded,
            pubsub: items_are_in_the_order_of_their_commits,
            pubsub: items_are_read_in_pages_from_both_ends,
            pubsub: items_are_read_by_their_ids,
            pubsub: oldest_items_go_when_there_are_too_many,
            pubsub: items_are_retracted_purged_and_expire,
            pubsub: newest_items_of_many_are_one_read,
            pubsub: node_is_read_for_one_who_asks,
            pubsub: affiliations_with_nodes_are_kept_and_bounded,
            pubsub: subscriptions_are_read_back_whole,
            pubsub: subscriptions_are_taken_back_one_or_all,
            pubsub: subscriptions_of_somebody_are_found,
            pubsub: service_is_no_account,
            pubsub: nodes_go_with_their_owner,
            pubsub: deleted_node_leaves_nothing,
            pubsub: deleted_account_leaves_the_nodes_of_accounts,
            pubsub: refused_set_changes_no_node,
            remote: what_waits_for_other_domains_is_read_in_its_order,
            remote: refused_set_changes_nothing_that_waits_for_others,
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

/// A message from this party.
pub(crate) fn entry(with: &str, text: &str, received_at: i64) -> ArchiveEntry {
    ArchiveEntry {
        received_at,
        with: with.into(),
        incoming: false,
        message_id: None,
        stanza: stored(text),
    }
}

pub(crate) fn push_archive(account: &str, entry: ArchiveEntry) -> Write {
    let account = account.into();
    Write::ArchivePush { account, entry }
}

/// Archives one message; its id.
pub(crate) async fn archive(store: &dyn Store, account: &str, entry: ArchiveEntry) -> ArchiveId {
    let set = WriteSet::from(push_archive(account, entry));
    store.commit(set).await.unwrap().archived[0]
}

pub(crate) fn texts(page: &ArchivePage) -> Vec<String> {
    let messages = page.messages.iter();
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    messages
        .map(|message| text(&message.stanza.bytes))
        .collect()
}

/// The texts of an account's archive.
pub(crate) async fn archived(store: &dyn Store, account: &str) -> Vec<String> {
    let all = ArchiveRequest {
        filter: ArchiveFilter::default(),
        place: ArchivePlace::First,
        limit: 10_000,
    };
    let page = store.archive().page(account, all).await.unwrap();
    let texts = texts(&page);
    assert_eq!(page.count, Some(texts.len() as u64));
    texts
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
