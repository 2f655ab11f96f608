//! An address that was accepted is its own enforced form, whole and in parts.
#![no_main]

use balcony_proto::jid::{Jid, MAX_JID_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(jid) = Jid::parse(text) else { return };
    assert!(jid.as_str().len() <= MAX_JID_BYTES);
    assert_eq!(Jid::parse(jid.as_str()).as_ref(), Ok(&jid));
    assert_eq!(
        Jid::from_parts(jid.local(), jid.domain(), jid.resource()).as_ref(),
        Ok(&jid)
    );
    assert_eq!(Jid::parse(jid.bare_str()), Ok(jid.bare()));
    assert_eq!(Jid::parse(jid.domain()), Ok(jid.domain_jid()));
});
