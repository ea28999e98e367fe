//! Key rotation while users are signed in: a cookie or record that an older key sealed is resealed when it is next used.

use super::{
    principal::Principal,
    store::Sessions,
    writer::{LeaseReply, WritePurpose},
};
use crate::{
    error::Error,
    runtime::{event_name::EventName, platform::Platform, telemetry::Event},
};

impl<P: Platform> Sessions<'_, P> {
    /// Reseals cookie and record where an older key sealed them. Returns the `Set-Cookie` value of a new cookie. After a
    /// failure the next request tries again: the old key still opens both.
    pub async fn reseal(&self, principal: &Principal) -> Option<String> {
        let Principal { id, handle, generation, summary, is_current, is_cookie_current, .. } = principal;
        if *is_current && *is_cookie_current {
            return None;
        }
        let resealed = async {
            if !is_current
                && let LeaseReply::Granted(lease) = self.acquire(id, handle, *generation, WritePurpose::Other).await?
            {
                self.store(&lease, &lease.session.record).await?;
            }
            if *is_cookie_current {
                Ok(None)
            } else {
                Ok(Some(self.cookie_of(id, *generation, summary.expires_at_ms)?))
            }
        };
        // Boxed: keys are rotated rarely.
        Box::pin(resealed).await.unwrap_or_else(|error: Error| {
            Event::warn(EventName::SessionRotation).with("detail", &error).write(self.platform);
            None
        })
    }
}
