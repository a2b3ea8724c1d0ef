//! How many requests came, how they ended and how long they took: by method, route template and status, never by path.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix_web::http::StatusCode;
use app::{Figures, MailState};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of OpenMetrics.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The edges of the latency histogram, in seconds.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    assurance: &'static str,
}

/// The request counters.
pub struct HttpMetrics {
    requests: Family<Answered, Counter>,
    seconds: Family<Routed, Histogram, fn() -> Histogram>,
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpMetrics(..)")
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self { requests: Family::default(), seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)) }
    }
}

impl HttpMetrics {
    pub(super) fn count(&self, method: &'static str, route: &'static str, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
        self.seconds.get_or_create(&Routed { route }).observe(took.as_secs_f64());
    }

    /// Everything in OpenMetrics text, the gateway's own figures included.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn text(&self, figures: &Figures, mail: Option<&MailState>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("consentry");
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register("http_request_seconds", "Seconds until an answer begins", self.seconds.clone());
        put_figures(&mut registry, figures);
        if let Some(mail) = mail {
            put_mail(&mut registry, mail);
        }
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn put_figures(registry: &mut Registry, figures: &Figures) {
    let counters = [
        ("captures", "Consent posts recorded", figures.captures),
        ("captures_replayed", "Consent posts answered from an idempotency key", figures.captures_replayed),
        ("grants_void", "Grants that the law does not accept, for the officer to look into", figures.grants_void),
        (
            "taken_back",
            "Withdrawals, objections and opt-outs by the links of mails, and complaints",
            figures.taken_back,
        ),
        ("signals", "Signals of browsers and consent platforms processed", figures.signals),
        ("records_stored", "Records stored", figures.records_stored),
        ("records_rejected", "Records rejected", figures.records_rejected),
        ("disclosures", "Look-ups and pages disclosed", figures.disclosures),
        ("persons_disclosed", "Persons in them", figures.persons_disclosed),
        ("tokens_issued", "Access tokens issued", figures.tokens_issued),
        ("tokens_denied", "Token requests denied", figures.tokens_denied),
        ("attempts_refused", "Attempts refused for want of a right", figures.attempts_refused),
        ("imports_previewed", "Files whose preview was made", figures.imports_previewed),
        ("import_rows_applied", "Rows of imports that changed something", figures.import_rows_applied),
        ("import_rows_left_out", "Rows of imports left out when applied", figures.import_rows_left_out),
        ("erasures", "Persons erased", figures.erasures),
        ("checkpoints", "Checkpoints signed", figures.checkpoints),
        ("mail_sent", "Letters that the mail server took", figures.letters_sent),
        ("mail_deferred", "Attempts to deliver a letter that are made again", figures.letters_deferred),
        ("mail_refused", "Letters that cannot be delivered", figures.letters_failed),
        ("mail_held_back", "Letters not written, because enough were", figures.letters_held_back),
        ("confirmations", "Confirmations taken", figures.confirmations),
        ("unconfirmed_purged", "Persons whose unconfirmed requests were removed", figures.unconfirmed_purged),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    let grants = Family::<Level, Counter<u64, AtomicU64>>::default();
    for (assurance, count) in &figures.grants {
        grants.get_or_create(&Level { assurance: assurance.code() }).inc_by(*count);
    }
    registry.register("grants", "Grants recorded, by assurance", grants);
    let refusals = Family::<Reason, Counter<u64, AtomicU64>>::default();
    for (refusal, count) in &figures.refusals {
        refusals.get_or_create(&Reason { reason: refusal.code() }).inc_by(*count);
    }
    registry.register("refusals", "Persons refused, by reason", refusals);
    let due = i64::try_from(figures.reviews_due).unwrap_or(i64::MAX);
    registry.register("reviews_due", "Assessments of the policy whose review is due", ConstGauge::new(due));
    let left = i64::try_from(figures.keys_left).unwrap_or(i64::MAX);
    registry.register("keys_left", "Data keys that a rotation has still to wrap anew", ConstGauge::new(left));
    let behind = ConstGauge::new(i64::from(figures.keys_behind));
    registry.register("keys_behind", "Whether the store has newer keys that do not open here", behind);
    let size = i64::try_from(figures.ledger_size).unwrap_or(i64::MAX);
    registry.register("ledger_size", "Entries that the latest checkpoint covers", ConstGauge::new(size));
}

fn put_mail(registry: &mut Registry, mail: &MailState) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let gauges = [
        ("mail_configured", "Whether there is a mail server", i64::from(mail.is_configured)),
        ("mail_queued", "Letters that wait", count(mail.queued)),
        ("mail_oldest_seconds", "How long the oldest of them has waited", mail.oldest_ms / 1000),
        ("mail_failed", "Letters kept that cannot be delivered", count(mail.failed)),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn requests_are_counted_by_template() {
        let metrics = HttpMetrics::default();
        metrics.count("GET", "/v1/notices/{digest}", StatusCode::OK, Duration::from_millis(2));
        let text = metrics
            .text(
                &Figures { captures: 7, ..Figures::default() },
                Some(&MailState { queued: 3, oldest_ms: 61_500, ..MailState::default() }),
            )
            .unwrap();
        assert!(
            text.contains(
                "consentry_http_requests_total{method=\"GET\",route=\"/v1/notices/{digest}\",status=\"200\"} 1"
            ),
            "{text}"
        );
        assert!(text.contains("consentry_captures_total 7"), "{text}");
        assert!(text.contains("consentry_mail_queued 3\n") && text.contains("consentry_mail_oldest_seconds 61\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}
