//! How often and how many at once: before a request is read, by the machine it comes from; once its caller is known, by
//! the caller. An answer that was counted says what is left (draft-ietf-httpapi-ratelimit-headers-10).
//!
//! Everything is counted in this process alone: two gateways let twice as much through.

pub(super) mod address;
mod class;
mod places;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use app::{Code, Quota, Throttle, network_of};
use kernel::authz::Actor;
use kernel::client::ClientId;
use kernel::clock::Clock;
use kernel::id::StaffId;

pub(super) use class::{Class, Kind};
pub(super) use places::Place;

use self::places::{Bounds, Gates, Places};
use super::Access;
use super::problem::Problem;
use crate::config::{ClientLimits, LimitSettings, Networks, QuotaSettings};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What an answer says of the quota that its request was counted by.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    name: &'static str,
    quota: Quota,
    left: u32,
    seconds: u64,
}

impl Standing {
    /// Puts the header fields.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        let Self { name, quota, left, seconds } = self;
        let policy = format!("\"{name}\";q={};w={}", quota.burst, quota.seconds_of(quota.burst));
        let now = format!("\"{name}\";r={left};t={seconds}");
        for (field, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, now)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(field, value);
            }
        }
    }
}

/// Whoever asked too often or too much at once, and what to tell them.
#[derive(Debug)]
pub(super) struct HeldOff {
    pub(super) problem: Problem,
    pub(super) standing: Option<Standing>,
}

/// One quota under the name that answers tell.
#[derive(Debug)]
struct Named {
    name: &'static str,
    throttle: Throttle,
}

impl Named {
    fn take(&self, key: impl std::hash::Hash) -> Result<Option<Standing>, HeldOff> {
        let Some(quota) = self.throttle.quota() else { return Ok(None) };
        let standing = |left, seconds| Standing { name: self.name, quota, left, seconds };
        match self.throttle.take(key) {
            Ok(left) => {
                Ok(left.map(|left| standing(left.count, quota.seconds_of(quota.burst.saturating_sub(left.count)))))
            }
            Err(wait) => Err(HeldOff {
                problem: Problem::of(Code::TooManyRequests).after(wait.seconds),
                standing: Some(standing(0, wait.seconds)),
            }),
        }
    }
}

/// The quotas by machine.
#[derive(Debug)]
struct ByMachine {
    pages: Named,
    ledger: Named,
    posts: Named,
    withdrawals: Named,
    tokens: Named,
    sign_in: Named,
}

/// All limits of a gateway. One for the whole process.
#[derive(Debug)]
pub(super) struct Limits {
    exempt: Networks,
    by_machine: ByMachine,
    clients: Gates<ClientId>,
    staff: Gates<StaffId>,
    pulls: Arc<Places>,
}

impl Limits {
    pub(super) fn new(settings: &LimitSettings, clock: &Arc<dyn Clock>) -> Self {
        let keyed = |name, quota: QuotaSettings| Named {
            name,
            throttle: Throttle::keyed(quota.into(), Arc::clone(clock)),
        };
        let everybody = Bounds::of(settings, ClientLimits::default());
        let own = settings
            .clients
            .iter()
            .filter_map(|(name, limits)| Some((name.parse().ok()?, Bounds::of(settings, *limits))));
        Self {
            exempt: settings.exempt.clone(),
            by_machine: ByMachine {
                pages: keyed("pages", settings.pages),
                ledger: keyed("ledger", settings.ledger),
                posts: keyed("posts", settings.posts),
                withdrawals: keyed("withdrawals", settings.withdrawals),
                tokens: keyed("tokens", settings.tokens),
                sign_in: keyed("sign_in", settings.sign_in),
            },
            clients: Gates::new(everybody, own.collect(), Arc::clone(clock)),
            staff: Gates::new(everybody, std::collections::HashMap::new(), Arc::clone(clock)),
            pulls: Arc::new(Places::of(settings.pulls_at_once)),
        }
    }

    /// Counts a request by the machine it comes from.
    ///
    /// # Errors
    /// When it came too often.
    pub(super) fn machine(&self, class: Class, machine: Option<Machine>) -> Result<Option<Standing>, HeldOff> {
        let Some(machine) = machine.filter(|machine| !machine.is_exempt(&self.exempt)) else { return Ok(None) };
        let quotas = &self.by_machine;
        let quota = match class {
            Class::Pages => &quotas.pages,
            Class::Ledger => &quotas.ledger,
            Class::Posts => &quotas.posts,
            Class::Withdrawals => &quotas.withdrawals,
            Class::Tokens => &quotas.tokens,
            Class::SignIn => &quotas.sign_in,
            Class::Probes | Class::Lookups | Class::Pulls | Class::Writes => return Ok(None),
        };
        quota.take(network_of(machine.address))
    }

    /// Counts a request by its caller, and gives it a place among those that go on.
    ///
    /// # Errors
    /// When it came too often, or too many go on.
    pub(super) fn caller(&self, class: Class, actor: &Actor) -> Result<(Option<Standing>, Place), HeldOff> {
        let gate = match actor {
            Actor::Client(client) => self.clients.of(&client.client),
            Actor::Staff(staff) => self.staff.of(&staff.staff),
            Actor::Person | Actor::Operator | Actor::Job(_) => return Ok((None, Place::default())),
        };
        let standing = match class {
            Class::Pulls => gate.pulls.take(())?,
            Class::Writes => gate.writes.take(())?,
            _ => gate.lookups.take(())?,
        };
        let too_many = |code| HeldOff { problem: Problem::of(code).after(1), standing: standing.clone() };
        let mut place = Place::default();
        place.enter(&gate.at_once).map_err(|_| too_many(Code::TooManyAtOnce))?;
        if class == Class::Pulls {
            place.enter(&gate.pulls_at_once).map_err(|_| too_many(Code::TooManyAtOnce))?;
            place.enter(&self.pulls).map_err(|_| too_many(Code::Busy))?;
        }
        Ok((standing, place))
    }
}

/// The machine that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// Its address.
    pub(super) address: IpAddr,
    /// Whether the request says that it came through a proxy that is not believed: then it stands for many.
    pub(super) is_unknown_proxy: bool,
}

impl Machine {
    fn is_exempt(self, exempt: &Networks) -> bool {
        !self.is_unknown_proxy && exempt.contain(self.address)
    }
}

/// By what a request is counted, from its route and who may call it.
pub(super) fn class_of(kind: Kind, access: Option<Access>, is_read: bool) -> Class {
    class::of(kind, access, is_read)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_left_is_told_as_the_draft_says() {
        let mut headers = HeaderMap::new();
        let quota = Quota { per_minute: 60, burst: 100 };
        Standing { name: "posts", quota, left: 40, seconds: 60 }.put(&mut headers);
        assert_eq!(headers.get(RATE_LIMIT_POLICY).unwrap(), "\"posts\";q=100;w=100");
        assert_eq!(headers.get(RATE_LIMIT).unwrap(), "\"posts\";r=40;t=60");
    }
}
