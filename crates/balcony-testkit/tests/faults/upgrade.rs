//! XEP-0480 over real connections: the keys that a client made are on the disk when it hears that
//! it is in.

use std::path::Path;

use balcony_proto::jid::Jid;
use balcony_store::{HashName, SqliteStore, Store, Write, WriteSet, sqlite};
use balcony_testkit::run::{Balcony, Launch, World, play};
use balcony_testkit::script::Script;
use tokio::runtime::Runtime;

use crate::client::PASSWORD;
use crate::durability::built;

const CONFIG: &str = "[auth]\niterations = 4096\n";

const BEFORE: &str = "\
# XEP-0480 §3
Keys of stronger hashes are made by a client that knows the password.

Romeo is romeo@localhost, by SASL2, by SCRAM-SHA-1, upgrading its keys
Middle is romeo@localhost/street, by SCRAM-SHA-256
Strong is romeo@localhost/orchard, by SCRAM-SHA-512-PLUS

Middle cannot connect: not-authorized
Strong cannot connect: not-authorized
Romeo connects
";

const AFTER: &str = "\
# XEP-0480 §3
The keys are still there, and nobody else has got any.

Middle is romeo@localhost/street, by SCRAM-SHA-256
Strong is romeo@localhost/orchard, by SCRAM-SHA-512-PLUS
Old is romeo@localhost/cell, by SCRAM-SHA-1
Nurse is juliet@localhost/chamber, by SCRAM-SHA-1
Juliet is juliet@localhost/balcony, by SCRAM-SHA-256

Middle connects
Strong connects
Old connects
Nurse connects
Juliet cannot connect: not-authorized
";

/// As an account may be that was made by something else.
async fn keep_sha1(store: &SqliteStore, account: &str) {
    let account = Jid::parse(account).unwrap();
    let (host, user) = (account.domain(), account.local().unwrap());
    let mut keys = store
        .accounts()
        .get(host, user)
        .await
        .unwrap()
        .unwrap()
        .keys;
    keys.retain(|key| key.hash == HashName::Sha1);
    let write = Write::SetKeys {
        host: host.to_owned(),
        user: user.to_owned(),
        keys,
    };
    store.commit(WriteSet::from(write)).await.unwrap();
}

/// The accounts are there already.
pub(crate) async fn played(text: &str, world: &World) {
    let mut script = Script::parse(Path::new("upgrade"), text).unwrap();
    script.accounts.clear();
    let outcome = play(&script, world).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn keys_that_a_client_made_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Balcony::launch_in(folder, Launch::of(&built()), CONFIG).unwrap();
    for account in ["romeo@localhost", "juliet@localhost"] {
        server.add_account(account, PASSWORD).unwrap();
    }
    server.stop().unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&data, sqlite::Settings::default()).unwrap();
        for account in ["romeo@localhost", "juliet@localhost"] {
            keep_sha1(&store, account).await;
        }
        store.close().await;
    });
    server.relaunch().unwrap();
    let world = World::Balcony(Box::new(server));
    runtime.block_on(played(BEFORE, &world));
    let World::Balcony(mut server) = world else {
        unreachable!("it is the same");
    };
    server.kill_and_restart().unwrap();
    runtime.block_on(played(AFTER, &World::Balcony(server)));
}
