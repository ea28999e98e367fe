//! Keys rotate while users are signed in: what an older key of the ring sealed is sealed anew when it is next seen.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::HeaderMap;

use super::{
    store::{Session, Sessions},
    writer::{LeaseReply, WritePurpose},
};
use crate::{
    error::Error,
    http::cookie::{self, Found, SESSION_COOKIE},
    runtime::{platform::Platform, telemetry::Event},
    seal,
};

impl<P: Platform> Sessions<'_, P> {
    /// Seals cookie and record anew where an older key sealed them. Returns the `Set-Cookie` value, if there is a new
    /// one. What fails is done the next time: the old key still opens it.
    pub async fn renew_seals(&self, headers: &HeaderMap, session: &Session) -> Option<String> {
        let renewed = async {
            if !session.is_current
                && let LeaseReply::Granted(writer) = self.begin(session, WritePurpose::Other).await?
            {
                self.store(&writer, &writer.session.record).await?;
            }
            if self.is_cookie_current(headers) { Ok(None) } else { Ok(Some(self.cookie_for(session)?)) }
        };
        renewed.await.unwrap_or_else(|error: Error| {
            Event::warn("session.rotation").with("detail", &error).write(self.platform);
            None
        })
    }

    fn is_cookie_current(&self, headers: &HeaderMap) -> bool {
        let Found::One(value) = cookie::find(headers, SESSION_COOKIE) else { return true };
        BASE64.decode(value).is_ok_and(|blob| seal::is_current(&self.settings.keys, &blob))
    }
}
