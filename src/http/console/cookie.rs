//! The cookies of the console. Where TLS is, their names have the prefix that binds them to this host and to TLS (RFC 6265bis
//! §4.1.3.2). None is sent with a request that another site began, and none can be read by a script.

use actix_web::http::header::{COOKIE, HeaderMap};
use app::Gateway;

/// How long a machine is known from which somebody signed in, in seconds: half a year.
const DEVICE_SECONDS: u32 = 180 * 86_400;

/// How long somebody may take at the identity provider, in seconds.
const SSO_SECONDS: u32 = 600;

/// The cookies of a gateway.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Cookies {
    is_secure: bool,
}

impl Cookies {
    pub(in crate::http) fn of(gateway: &Gateway) -> Self {
        Self { is_secure: gateway.settings().issuer.starts_with("https://") }
    }

    const fn name(self, secure: &'static str, plain: &'static str) -> &'static str {
        if self.is_secure { secure } else { plain }
    }

    const fn session_name(self) -> &'static str {
        self.name("__Host-consentry-session", "consentry-session")
    }

    const fn form_name(self) -> &'static str {
        self.name("__Host-consentry-form", "consentry-form")
    }

    const fn device_name(self) -> &'static str {
        self.name("__Host-consentry-device", "consentry-device")
    }

    /// The token of a session.
    pub(in crate::http) fn session(self, headers: &HeaderMap) -> Option<&str> {
        read(headers, self.session_name())
    }

    /// What the forms go with that are filled in before there is a session.
    pub(super) fn form(self, headers: &HeaderMap) -> Option<&str> {
        read(headers, self.form_name())
    }

    /// What a machine was given when somebody signed in from it.
    pub(super) fn device(self, headers: &HeaderMap) -> Option<&str> {
        read(headers, self.device_name())
    }

    const fn sso_name(self) -> &'static str {
        self.name("__Host-consentry-sso", "consentry-sso")
    }

    /// What a sign-in with the identity provider is known by.
    pub(super) fn sso(self, headers: &HeaderMap) -> Option<&str> {
        read(headers, self.sso_name())
    }

    fn set(self, name: &str, value: &str, lasts: &str) -> String {
        self.set_on(name, value, ("Strict", lasts))
    }

    fn set_on(self, name: &str, value: &str, (site, lasts): (&str, &str)) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite={site}{secure}{lasts}")
    }

    /// The one cookie that comes along when another site leads back here: it lets nobody in, and proves who began.
    pub(super) fn set_sso(self, value: &str) -> String {
        self.set_on(self.sso_name(), value, ("Lax", &format!("; Max-Age={SSO_SECONDS}")))
    }

    pub(super) fn end_sso(self) -> String {
        self.set_on(self.sso_name(), "", ("Lax", "; Max-Age=0"))
    }

    pub(super) fn set_session(self, token: &str) -> String {
        self.set(self.session_name(), token, "")
    }

    pub(super) fn end_session(self) -> String {
        self.set(self.session_name(), "", "; Max-Age=0")
    }

    pub(super) fn set_form(self, value: &str) -> String {
        self.set(self.form_name(), value, "")
    }

    pub(super) fn set_device(self, value: &str) -> String {
        self.set(self.device_name(), value, &format!("; Max-Age={DEVICE_SECONDS}"))
    }
}

/// The value of a cookie. Of two with one name, which a neighbouring host may have set, neither is believed.
fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(COOKIE)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) if !value.is_empty() && value.len() <= 256 => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_cookie_is_read_if_there_is_one() {
        let read_from = |lines: &[&str]| {
            let request =
                lines.iter().fold(TestRequest::default(), |request, line| request.append_header((COOKIE, *line)));
            read(request.to_http_request().headers(), "a").map(str::to_owned)
        };
        assert_eq!(read_from(&["a=1"]).as_deref(), Some("1"));
        assert_eq!(read_from(&["b=2; a=1; aa=3"]).as_deref(), Some("1"));
        for none in [&[][..], &["b=1"], &["a="], &["a"], &["a=1; a=2"], &["a=1", "a=1"]] {
            assert_eq!(read_from(none), None, "{none:?}");
        }
    }

    #[test]
    fn where_tls_is_a_cookie_is_bound_to_it_and_to_the_host() {
        let secure = Cookies { is_secure: true }.set_session("t");
        assert_eq!(secure, "__Host-consentry-session=t; Path=/; HttpOnly; SameSite=Strict; Secure");
        let plain = Cookies { is_secure: false }.set_device("d");
        assert_eq!(plain, "consentry-device=d; Path=/; HttpOnly; SameSite=Strict; Max-Age=15552000");
        let abroad = Cookies { is_secure: true }.set_sso("s");
        assert_eq!(abroad, "__Host-consentry-sso=s; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600");
    }
}
