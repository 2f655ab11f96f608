//! XEP-0494 over a restart: a session that waits for its client is still that client's.

use balcony_testkit::run::{Balcony, World};

use crate::client::PASSWORD;
use crate::durability::built;
use crate::upgrade::played;

const BEFORE: &str = "\
# XEP-0198 §5
A client may come back.

Phone is romeo@localhost, by SASL2, with tokens

Phone connects by password
Phone sends:
    <enable xmlns='urn:xmpp:sm:3' resume='true'/>
Phone receives:
    <enabled xmlns='urn:xmpp:sm:3' …/>
Phone is cut off
";

const AFTER: &str = "\
# XEP-0494 §3.1, §3.2
It is known as what it was, and once only; who revokes it ends the session that waits.

Romeo is romeo@localhost/orchard

Romeo connects
Romeo sends:
    <iq type='get' id='l1'><list xmlns='urn:xmpp:cam:0'/></iq>
Romeo receives:
    <iq type='result' id='l1' to='{full jid of Romeo}'>
      <clients xmlns='urn:xmpp:cam:0'>
        <client id='{romeo}' connected='true' …>
          <user-agent/>
          …
        </client>
        <client id='{phone}' connected='true' …>
          <auth><password/><fast/></auth>
          <user-agent><software>Conversation</software><device>Phone&apos;s device</device></user-agent>
          …
        </client>
      </clients>
    </iq>
Romeo sends:
    <iq type='set' id='r1'><revoke xmlns='urn:xmpp:cam:0' id='{phone}'/></iq>
Romeo receives:
    <iq type='error' id='r1' …>…</iq>
Romeo sends:
    <iq type='get' id='l2'><list xmlns='urn:xmpp:cam:0'/></iq>
Romeo receives:
    <iq type='result' id='l2' to='{full jid of Romeo}'>
      <clients xmlns='urn:xmpp:cam:0'>
        <client id='{romeo}' connected='true' …>…</client>
        <client id='{phone}' connected='false' …>…</client>
      </clients>
    </iq>
";

#[test]
fn a_session_that_waits_over_a_restart_is_still_its_clients() {
    let server = Balcony::start(&built(), "[auth]\niterations = 4096\n").unwrap();
    server.add_account("romeo@localhost", PASSWORD).unwrap();
    let world = World::Balcony(Box::new(server));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(played(BEFORE, &world));
    let World::Balcony(mut server) = world else {
        unreachable!("it is the same");
    };
    server.stop_and_restart().unwrap();
    runtime.block_on(played(AFTER, &World::Balcony(server)));
}
