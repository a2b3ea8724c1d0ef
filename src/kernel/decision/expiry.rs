//! When consents run out, as a history shows it. Nobody writes an expiry down: it is judged at every read, so a
//! history that is shown gets the ends that lie in it.

use crate::consent::{ConsentEvent, EventKind, GrantStanding, Standing};
use crate::policy::{PurposeRule, ValidPolicy};
use crate::purpose::Purpose;
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// When a grant runs out: what was fixed at capture, or the policy's validity, whichever comes first.
#[must_use]
pub fn end_of(grant: &GrantStanding, rule: &PurposeRule) -> Timestamp {
    let own = rule.validity.after(grant.captured_at);
    let from_others = grant.grant.third_party.then(|| rule.third_party_validity.after(grant.captured_at));
    let validity = from_others.map_or(own, |end| end.min(own));
    grant.grant.valid_until.map_or(validity, |fixed| fixed.min(validity))
}

/// The consents of a history that had run out at `at`, each as an [`EventKind::Expired`] event at its end, in order of
/// time. Its `sequence` is that of the grant that ran out. A consent that was renewed or taken back before its end did
/// not run out.
#[must_use]
pub fn expiries(
    policy: &ValidPolicy,
    subject: SubjectId,
    events: &[ConsentEvent],
    at: Timestamp,
) -> Vec<ConsentEvent> {
    let mut ordered: Vec<_> = events.iter().filter(|event| event.received_at <= at).collect();
    ordered.sort_by_key(|event| (event.received_at, event.sequence));
    let mut ended = Vec::new();
    for rule in policy.purposes() {
        let mut standing = Standing::of(subject);
        let mut running: Vec<(u32, Timestamp)> = Vec::new();
        for event in &ordered {
            end(&mut running, &rule.id, event.received_at, &mut ended);
            standing.apply(event);
            running = grants(&standing, rule).filter(|(_, end)| *end > event.received_at).collect();
        }
        end(&mut running, &rule.id, at, &mut ended);
    }
    ended.sort_by(|a, b| (a.received_at, &a.purpose).cmp(&(b.received_at, &b.purpose)));
    ended
}

/// The grants that count now, by their place in the history, with their ends.
fn grants(standing: &Standing, rule: &PurposeRule) -> impl Iterator<Item = (u32, Timestamp)> {
    let known = standing.purpose(&rule.id);
    // A weaker basis never survives a no.
    let implied =
        known.filter(|_| standing.denied_at(&rule.id).is_none()).and_then(|known| known.implied.as_ref());
    [standing.effective(&rule.id), implied]
        .into_iter()
        .flatten()
        .map(|grant| (grant.sequence, end_of(grant, rule)))
}

fn end(running: &mut Vec<(u32, Timestamp)>, purpose: &Purpose, now: Timestamp, ended: &mut Vec<ConsentEvent>) {
    running.retain(|(sequence, end)| {
        let over = *end <= now;
        if over {
            let event = ConsentEvent::new(EventKind::Expired, Some(purpose.clone()), *end, *end);
            ended.push(ConsentEvent { sequence: *sequence, ..event });
        }
        !over
    });
}
