//! A client that takes its former stream up again.

use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::{Pair, config};
use crate::harness::jid;
use crate::initiating::{ClientConfig, Resume, Resumption, TlsPolicy};

fn client(tls: TlsPolicy, previd: &str) -> Pair {
    let mut pair = Pair::new(ClientConfig {
        tls,
        resume: Some(Resume {
            jid: jid("romeo@localhost/orchard"),
            previd: previd.to_owned(),
            h: 5,
        }),
        ..config()
    });
    let sm = Element::new(ns::SM, "sm");
    pair.server.facts.inline.push(sm.clone());
    pair.server.facts.features_after_login.push(sm);
    pair.server.resumable = Some("verona");
    pair
}

const WAYS: [TlsPolicy; 2] = [TlsPolicy::StartTls, TlsPolicy::Clear];

#[test]
fn a_stream_goes_on_within_sasl2_and_before_binding() {
    for way in WAYS {
        let mut pair = client(way, "verona");
        pair.run();
        let bound = pair.bound();
        assert_eq!(bound.resumption, Some(Resumption::Resumed(7)), "{way:?}");
        assert_eq!(bound.jid, jid("romeo@localhost/orchard"));
        assert!(pair.server.resumed && pair.server.binds.is_empty());
        assert_eq!(
            pair.server.resumes.first().map(|request| request.h),
            Some(5)
        );
    }
}

#[test]
fn a_stream_that_is_gone_gives_way_to_a_new_one() {
    for way in WAYS {
        let mut pair = client(way, "mantua");
        pair.run();
        let bound = pair.bound();
        assert_eq!(bound.resumption, Some(Resumption::Failed(None)), "{way:?}");
        assert_ne!(bound.jid, jid("romeo@localhost/orchard"));
        assert_eq!(pair.server.binds.len(), 1);
    }
}

#[test]
fn a_server_without_stream_management_is_not_asked() {
    for way in WAYS {
        let mut pair = client(way, "verona");
        pair.server.facts.inline.clear();
        pair.server.facts.features_after_login.clear();
        pair.run();
        assert_eq!(pair.bound().resumption, None, "{way:?}");
        assert!(pair.server.resumes.is_empty());
    }
}
