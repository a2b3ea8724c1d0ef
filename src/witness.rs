//! The witness of the ledger over HTTP (c2sp.org/tlog-witness): the edge's [`Witness`].

use app::{Witness, WitnessAnswer, Witnessed};
use kernel::ledger::cosign::WitnessKey;

use crate::config::{ConfigError, LedgerSettings};
use crate::outgoing::{Outgoing, OutgoingError, Target};

/// Longer answers are not read: a witness says a line or two.
const MOST: usize = 16_384;

/// A witness at an address.
#[derive(Debug)]
pub struct HttpWitness {
    target: Target,
}

impl HttpWitness {
    /// The witness of these settings and the key of its cosignatures; `None`: none is set.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub fn of(settings: &LedgerSettings, outgoing: &Outgoing) -> Result<Option<(Self, WitnessKey)>, ConfigError> {
        let fault = |key, reason: &str| ConfigError::Value { key, reason: reason.to_owned() };
        let (url, vkey) = (settings.witness_url.trim_end_matches('/'), settings.witness_vkey.trim());
        if url.is_empty() && vkey.is_empty() {
            return Ok(None);
        }
        let target = outgoing.configured("ledger.witness_url", &format!("{url}/add-checkpoint"))?;
        let key = WitnessKey::from_vkey(vkey).map_err(|_| {
            fault("ledger.witness_vkey", "not the key of an Ed25519 cosignature (c2sp.org/tlog-cosignature)")
        })?;
        Ok(Some((Self { target }, key)))
    }

    async fn ask(&self, body: String) -> WitnessAnswer {
        let reply = match self.target.post(body, MOST).await {
            Ok(reply) => reply,
            Err(OutgoingError::Unreadable) => return WitnessAnswer::Unable("its answer cannot be read"),
            Err(OutgoingError::Private) => return WitnessAnswer::Unable("its name leads into a private network"),
            Err(_) => return WitnessAnswer::Unable("it cannot be reached"),
        };
        let Ok(text) = String::from_utf8(reply.bytes) else {
            return WitnessAnswer::Unable("its answer is not text");
        };
        match reply.status {
            200 => WitnessAnswer::Cosigned(text),
            409 => text.trim().parse().map_or(WitnessAnswer::Unable("it told no size"), WitnessAnswer::Knows),
            422 => WitnessAnswer::Contradicts,
            403 => WitnessAnswer::Unable("it does not know the key of this ledger"),
            404 => WitnessAnswer::Unable("it does not know this ledger"),
            _ => WitnessAnswer::Unable("it answered with an error"),
        }
    }
}

impl Witness for HttpWitness {
    fn add_checkpoint(&self, body: String) -> Witnessed<'_> {
        Box::pin(self.ask(body))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::config::OutgoingSettings;

    const VKEY: &str = "witness.example/w1+d9ed62c5+BO1JKMYo0cLG6ukDOJBZlWEpWSc6XGP5NjbBRhSshzfR";

    /// A witness that answers once, and tells what it was asked.
    fn witness(status: &str, body: &str) -> (HttpWitness, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/log/", listener.local_addr().unwrap());
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"the proof\n") {
                let mut part = [0; 1024];
                let read = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let settings = settings(&url, VKEY);
        (HttpWitness::of(&settings, &outgoing()).unwrap().unwrap().0, asked)
    }

    fn outgoing() -> Outgoing {
        Outgoing::of(&OutgoingSettings { timeout_seconds: 10, ..OutgoingSettings::default() })
    }

    fn settings(url: &str, vkey: &str) -> LedgerSettings {
        LedgerSettings {
            origin: "consent.example/ledger".to_owned(),
            witness_url: url.to_owned(),
            witness_vkey: vkey.to_owned(),
        }
    }

    #[tokio::test]
    async fn every_answer_of_a_witness_has_its_meaning() {
        for (status, body, expected) in [
            ("200 OK", "\u{2014} w AAAA\n", WitnessAnswer::Cosigned("\u{2014} w AAAA\n".to_owned())),
            ("409 Conflict", "17\n", WitnessAnswer::Knows(17)),
            ("409 Conflict", "many\n", WitnessAnswer::Unable("it told no size")),
            ("422 Unprocessable Content", "", WitnessAnswer::Contradicts),
            ("404 Not Found", "", WitnessAnswer::Unable("it does not know this ledger")),
            ("302 Found", "", WitnessAnswer::Unable("it answered with an error")),
            ("200 OK", &"x".repeat(MOST + 1), WitnessAnswer::Unable("its answer cannot be read")),
        ] {
            let (witness, asked) = witness(status, body);
            assert_eq!(witness.add_checkpoint("the proof\n".to_owned()).await, expected, "{status}");
            assert!(asked.join().unwrap().starts_with("POST /log/add-checkpoint HTTP/1.1\r\n"));
        }
    }

    #[tokio::test]
    async fn a_witness_that_is_not_there_is_no_fault_of_the_ledger() {
        let (witness, _) = HttpWitness::of(&settings("http://127.0.0.1:1", VKEY), &outgoing()).unwrap().unwrap();
        assert!(matches!(witness.add_checkpoint(String::new()).await, WitnessAnswer::Unable(_)));
    }

    #[test]
    fn a_witness_is_set_whole_and_spoken_to_in_private() {
        assert!(HttpWitness::of(&settings("", ""), &outgoing()).unwrap().is_none());
        for (url, vkey) in [
            ("https://witness.example", ""),
            ("", VKEY),
            ("http://witness.example", VKEY),
            ("ftp://witness.example", VKEY),
            ("https://witness.example", "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"),
        ] {
            assert!(HttpWitness::of(&settings(url, vkey), &outgoing()).is_err(), "{url} {vkey}");
        }
    }
}
