//! By what a request is counted.

use kernel::authz::Scope;

use crate::http::Access;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Class {
    /// Pages and documents, by machine.
    Pages,
    /// The published ledger, by machine.
    Ledger,
    /// What anybody posts, by machine.
    Posts,
    /// Unsubscribing and the preference page, by machine: mailbox providers do it for many.
    Withdrawals,
    /// The OAuth endpoints, and credentials that are not good, by machine.
    Tokens,
    /// The forms of the console, by machine.
    SignIn,
    /// What tells whether the gateway lives: not counted.
    Probes,
    /// Reads, by caller.
    Lookups,
    /// Bulk pulls, by caller.
    Pulls,
    /// Writes, by caller.
    Writes,
}

/// What kind of route it is. Known once, when the server is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
    Ledger,
    Probe,
    Withdrawal,
    OAuth,
    Pull,
    Other,
}

impl Kind {
    /// The kind of a route.
    pub(in crate::http) fn of(path: &str) -> Self {
        match path {
            "/v1/profiles" => Self::Pull,
            "/metrics" => Self::Probe,
            path if path.starts_with("/health/") => Self::Probe,
            path if path.starts_with("/ledger/") => Self::Ledger,
            path if path.starts_with("/oauth/") => Self::OAuth,
            path if path.starts_with("/unsubscribe/") || path.starts_with("/preferences/") => Self::Withdrawal,
            _ => Self::Other,
        }
    }
}

pub(super) const fn of(kind: Kind, access: Option<Access>, is_read: bool) -> Class {
    match (access, kind, is_read) {
        (Some(Access::Scope(_)), Kind::Pull, true) => Class::Pulls,
        (Some(Access::Scope(scope)), ..) if is_read || reads(scope) => Class::Lookups,
        (Some(Access::Scope(_)), ..) => Class::Writes,
        (Some(Access::Staff), _, false) => Class::SignIn,
        (Some(Access::Public), Kind::Probe, _) => Class::Probes,
        (Some(Access::Public), Kind::Ledger, _) => Class::Ledger,
        (Some(Access::Public), Kind::OAuth, _) => Class::Tokens,
        (Some(Access::Public), Kind::Withdrawal, false) => Class::Withdrawals,
        (Some(Access::Public), _, false) => Class::Posts,
        // What a path does not have is counted like its pages: whoever guesses is held off too.
        (Some(Access::Staff | Access::Public) | None, ..) => Class::Pages,
    }
}

/// Whether what needs a scope only reads, whatever its method is.
const fn reads(scope: Scope) -> bool {
    matches!(scope, Scope::ProfilesRead | Scope::RightsRead | Scope::LedgerRead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    #[test]
    fn every_endpoint_is_counted_by_its_caller_or_by_its_machine() {
        for route in routes() {
            for endpoint in route.endpoints {
                let is_read = matches!(endpoint.method, "GET" | "OPTIONS");
                let class = of(Kind::of(route.path), Some(endpoint.access), is_read);
                let by_caller = matches!(class, Class::Lookups | Class::Pulls | Class::Writes);
                assert_eq!(
                    by_caller,
                    matches!(endpoint.access, Access::Scope(_)),
                    "{} {}",
                    endpoint.method,
                    route.path
                );
                let is_probe = route.path == "/metrics" || route.path.starts_with("/health/");
                assert_eq!(class == Class::Probes, is_probe, "{}", route.path);
            }
        }
        assert_eq!(of(Kind::Pull, Some(Access::Scope(Scope::ProfilesRead)), true), Class::Pulls);
        assert_eq!(of(Kind::Other, Some(Access::Scope(Scope::ProfilesRead)), false), Class::Lookups);
        assert_eq!(of(Kind::Other, Some(Access::Scope(Scope::RecordsWrite)), false), Class::Writes);
        assert_eq!(of(Kind::Withdrawal, Some(Access::Public), false), Class::Withdrawals);
        assert_eq!(of(Kind::Other, None, false), Class::Pages);
    }
}
