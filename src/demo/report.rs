//! What the demo shows of a pull: counts by reason and the RFM table, computed from the served scores alone.

use kernel::decision::Refusal;

use super::wire::Profile;
use crate::cli::output::{say, thousands};

/// Persons refused between two snapshots of the gateway's counters, most frequent reason first.
pub(super) fn refused(before: &[(Refusal, u64)], after: &[(Refusal, u64)]) -> Vec<(Refusal, u64)> {
    let known = |refusal| before.iter().find(|(known, _)| *known == refusal).map_or(0, |(_, many)| *many);
    let mut refused: Vec<_> = after
        .iter()
        .map(|(refusal, many)| (*refusal, many.saturating_sub(known(*refusal))))
        .filter(|(_, many)| *many > 0)
        .collect();
    refused.sort_by_key(|(_, many)| std::cmp::Reverse(*many));
    refused
}

/// Why a person is refused, in words.
pub(super) const fn because(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoConsent => "never said yes",
        Refusal::Refused => "said no",
        Refusal::Withdrawn => "took it back",
        Refusal::OptedOut => "opted out",
        Refusal::Objected => "objected to direct marketing",
        Refusal::Minor => "too young",
        Refusal::NotFound => "erased or unknown",
        other => other.code(),
    }
}

/// Prints how many persons there are for each recency and frequency score, with their mean monetary score.
pub(super) fn rfm(profiles: &[Profile]) {
    let mut cells = [[(0_u64, 0_u64); 5]; 5];
    let mut without = 0_u64;
    for profile in profiles {
        let cell = match (profile.rfm_recency, profile.rfm_frequency) {
            (Some(recency @ 1..=5), Some(frequency @ 1..=5)) => {
                cells.get_mut(usize::from(recency - 1)).and_then(|row| row.get_mut(usize::from(frequency - 1)))
            }
            _ => None,
        };
        match cell {
            Some((count, monetary)) => {
                *count += 1;
                *monetary += u64::from(profile.rfm_monetary.unwrap_or(0));
            }
            None => without += 1,
        }
    }
    say("                    frequency 1          2          3          4          5");
    for (at, row) in cells.iter().enumerate().rev() {
        let shown: Vec<_> = row
            .iter()
            .map(|(count, monetary)| match count {
                0 => format!("{:>11}", "-"),
                _ => {
                    let mean = *monetary as f64 / *count as f64;
                    format!("{:>11}", format!("{} {mean:.1}", thousands(*count)))
                }
            })
            .collect();
        let label = if at == 4 { "recency 5 (newest)".to_owned() } else { format!("recency {}", at + 1) };
        say(format_args!("  {label:<18}{}", shown.concat()));
    }
    if without > 0 {
        say(format_args!("  without scores: {}", thousands(without)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_in_between_is_counted() {
        let before = [(Refusal::Minor, 3), (Refusal::Refused, 5)];
        let after = [(Refusal::Minor, 3), (Refusal::Refused, 9), (Refusal::NoConsent, 20)];
        assert_eq!(refused(&before, &after), [(Refusal::NoConsent, 20), (Refusal::Refused, 4)]);
    }
}
