//! GPP strings: whatever reads is kept byte for byte, reads the same when written again, and closes where it is
//! not understood.
#![no_main]

use kernel::signal::{Content, GppString, ReadSignal, ReceivedSignal, SectionId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _applicable = SectionId::parse_list(text);
    let received = ReceivedSignal { gpp: Some(text.to_owned()), gpp_sid: None, tc: None };
    let read = ReadSignal::read(false, received);
    let Ok(gpp) = GppString::decode(text) else {
        assert!(read.is_err());
        return;
    };
    // What is recorded is what was sent, and nothing malformed is.
    assert_eq!(read.is_ok(), gpp.check().is_ok());
    assert!(read.is_ok_and(|read| read.received().gpp.as_deref() == Some(text)) || gpp.check().is_err());
    assert_eq!(gpp.raw(), text);
    assert!(serde_json::to_string(&gpp).is_ok());
    for (section, meaning) in gpp.sections().iter().zip(gpp.meanings()) {
        let unread = matches!(section.content(), Content::Opaque(_) | Content::Malformed(_));
        assert!(!unread || (meaning.fail_closed && meaning.sale_opted_out && meaning.sharing_opted_out));
    }
    if gpp.check().is_ok() {
        let written = gpp.encode().expect("what was read can be written");
        let again = GppString::decode(&written).expect("what was written can be read");
        assert_eq!(again.sections().len(), gpp.sections().len());
        for (before, after) in gpp.sections().iter().zip(again.sections()) {
            assert_eq!((before.id(), before.content()), (after.id(), after.content()));
        }
    }
});
